"""Pages that ask nothing of a network: one HTML file with its style, script and pictures inside."""

import base64
import hashlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def render(folder: Path, **values: Any) -> str:
    """The page that `folder`/page.html (Jinja, extends base.html) makes of `values`, each escaped unless marked `safe`.

    The style is page.css here, then `folder`'s. Where `folder` has a page.js, the Content-Security-Policy lets that
    script and no other run. `title` is one of the values.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader([folder, HERE])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    script = "".join(path.read_text(encoding="utf-8") for path in folder.glob("page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    css = "\n".join((each / "page.css").read_text(encoding="utf-8") for each in (HERE, folder))
    page = environment.get_template("page.html")
    return page.render(css=css, script=script, script_hash=f"sha256-{digest}", **values)
