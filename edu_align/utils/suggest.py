"""The nearest valid word, for messages that say what was probably meant."""

from collections.abc import Iterable


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option most like `word`, or None where none is alike.

    For dotted keys an option with the same last part wins over one that only looks alike (`beta` means `trainer.beta`),
    then those below the same parent (`trainer.bata`), then any.
    """
    from difflib import SequenceMatcher, get_close_matches

    every = list(options)
    parent, _, last = word.rpartition(".")
    same_last = [option for option in every if option.rpartition(".")[2] == last]
    if same_last:
        return max(same_last, key=lambda option: SequenceMatcher(None, word, option).ratio())
    siblings = [option for option in every if parent and option.rpartition(".")[0] == parent]
    if siblings:
        close = get_close_matches(last.lower(), [option.rpartition(".")[2] for option in siblings], n=1)
        return f"{parent}.{close[0]}" if close else None
    close = get_close_matches(word.lower(), every, n=1)
    if close:
        return close[0]
    by_last = {option.rpartition(".")[2]: option for option in every}
    close = get_close_matches(last.lower(), list(by_last), n=1)
    return by_last[close[0]] if close else None


def did_you_mean(word: str, options: Iterable[str], prefix: str = "") -> str:
    """`" Did you mean `x`?"`, or an empty text where nothing is alike. `prefix` is printed before the option."""
    if word in ("True", "False") and {"on", "off"} & set(options):
        return " YAML reads a bare on or off as true or false: put it in quotes."
    best = nearest(word, options)
    return f" Did you mean `{prefix}{best}`?" if best is not None and best != word else ""


def listed(options: Iterable[str]) -> str:
    """The options in one line: `a | b | c`."""
    return " | ".join(options)
