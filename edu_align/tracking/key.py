"""Whether W&B can be reached in principle: its API key, and the mode that follows. Imports nothing heavy."""

import netrc
import os
from urllib.parse import urlparse

from edu_align.config.schema import TrackingConfig
from edu_align.errors import UserError

HOME = "https://api.wandb.ai"


def has_key() -> bool:
    """Whether a W&B API key is at hand, in the environment or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or HOME).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def mode_of(config: TrackingConfig) -> str:
    """`online` or `offline`: as told, else online with a key. Errors: told to be online without one."""
    if config.mode == "online" and not has_key():
        raise UserError(
            "`tracking.mode=online` needs a W&B API key, and there is none. Run `wandb login`, set WANDB_API_KEY, or "
            "use tracking.mode=offline (`wandb sync` uploads it later)."
        )
    if config.mode != "auto":
        return config.mode
    return "online" if has_key() and os.environ.get("WANDB_MODE", "online") == "online" else "offline"
