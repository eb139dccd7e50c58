"""Pages that ask nothing of a network: one HTML file with its style, script and pictures inside."""

import base64
import hashlib
from pathlib import Path
from typing import Any

STYLE = Path(__file__).resolve().parent / "page.css"


def render(template: Path, style: Path | None = None, script: Path | None = None, **values: Any) -> str:
    """The page that `template` (Jinja) makes of `values`, each escaped unless the template says `safe`.

    The template also gets `css` (the common style, then `style`), and `script` with `script_hash`, by which its
    Content-Security-Policy lets that script and no other run; both are empty without `script`.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    code = script.read_text(encoding="utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    css = "\n".join(path.read_text(encoding="utf-8") for path in (STYLE, style) if path)
    page = environment.from_string(template.read_text(encoding="utf-8"))
    return page.render(css=css, script=code, script_hash=f"sha256-{digest}" if code else "", **values)
