"""What went wrong in Hydra, as one message."""

from collections.abc import Sequence

from edu_align.errors import UserError


def as_user_error(error: Exception, words: Sequence[str] = ()) -> Exception:
    """What Hydra says of a config, as a `UserError`; anything else is returned as it is.

    `words`: the command line, where no job has begun yet. Hydra does not check the values of its own keys, and where
    some are given whatever it raises comes from them.
    """
    from hydra.errors import HydraException

    own = [word for word in words if word.lstrip("+~").startswith("hydra")]
    if isinstance(error, HydraException):
        parts = [str(part).strip() for part in (error, error.__cause__) if part is not None]
        return UserError(" ".join(" ".join(parts).split()))
    if isinstance(error, UserError) or not own:
        return error
    what = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]
    return UserError(
        f"`{' '.join(own)}`: Hydra cannot work with this ({what[:300]}). --hydra-help explains its keys; "
        "HYDRA_FULL_ERROR=1 shows where it stopped."
    )
