"""What libraries say to every user on every start stays out of the log."""

import logging
import os
import warnings

from edu_align.utils.distributed import is_first


def quiet(weights_bar: bool = False) -> None:
    """Keep hints of libraries out of what is printed; warnings about this run and errors stay. It is called before they
    are imported, because bitsandbytes says its own then.

    `weights_bar`: still draw the bar of the weights being loaded, which takes minutes at 7B. Only the first process
    draws any.
    """
    if not is_first():
        os.environ["TQDM_DISABLE"] = "1"
    for name in ("bitsandbytes", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    import transformers

    transformers.logging.set_verbosity_error()
    if not weights_bar:
        transformers.logging.disable_progress_bar()
