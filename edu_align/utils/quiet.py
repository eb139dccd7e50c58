"""What libraries say to every user on every start stays out of the output; warnings about this run stay in."""

import logging
import os
import warnings

from edu_align.utils.distributed import is_first
from edu_align.utils.progress import bars_wanted, lines_in_a_log

# Loggers of libraries and the least that they may say: below it are hints about the libraries themselves.
LOGGERS = {"bitsandbytes": logging.ERROR, "datasets": logging.ERROR}


def quiet_imports() -> None:
    """Keep out what libraries say while they are imported; nothing is imported here."""
    for name, least in LOGGERS.items():
        logging.getLogger(name).setLevel(least)
    warnings.filterwarnings("ignore", category=FutureWarning)


def quiet(weights_bar: bool = False) -> None:
    """Keep hints of libraries out of what is printed, before the heavy ones are imported, and their bars out of logs.

    `weights_bar`: still draw the bar of the weights being loaded, which takes minutes at 7B. Only the first process
    draws any.
    """
    quiet_imports()
    if not is_first():
        os.environ["TQDM_DISABLE"] = "1"
    lines_in_a_log()
    import transformers

    transformers.logging.set_verbosity_error()
    if not (weights_bar and bars_wanted()):
        transformers.logging.disable_progress_bar()
