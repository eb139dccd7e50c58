"""The names that people give to roles, to what a turn holds and to columns. All are compared by `plain`."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

USER = "user human student pupil learner prompter questioner schüler schülerin lernende lernender"
ASSISTANT = (
    "assistant gpt model bot chatbot ai chatgpt gpt-3.5 gpt-4 gpt4 claude bing bard tutor tutorin teacher instructor "
    "coach lehrer lehrerin lehrkraft"
)
ROLES = {
    name: role
    for role, names in (("user", USER), ("assistant", ASSISTANT), ("system", "system developer"))
    for name in names.replace("-", "_").split()
}
TOOLS = ("tool", "tools", "function", "function_call", "function_response", "observation", "ipython", "environment")

WHO = ("role", "from", "speaker", "sender", "author", "participant", "who", "user")
SAID = ("content", "value", "text", "message", "utterance", "parts")
FLAGS = ("loss", "weight", "train", "trainable", "loss_weight")  # whether a turn is trained on

# Ours -> the names that it goes by, the first that a row has is read.
COLUMNS = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat"),
    "prompt": ("prompt", "instruction", "question", "query", "problem", "input"),
    "completion": ("completion", "output", "answer", "response", "reply", "solution"),
    "chosen": ("chosen", "preferred_output"),
    "rejected": ("rejected", "non_preferred_output"),
    "responses": ("responses", "completions"),
    "scores": ("scores", "ratings"),
    "system": ("system", "system_prompt", "system_message"),
    "history": ("history",),
    "text": ("text", "transcript"),
    "label": ("label",),
    "gold_answer": ("gold_answer", "correct_answer", "final_answer"),  # nobody trains on it: what a reply may leak
}
EXPLICIT = ("id", "group", "split")  # read only when `dataset.columns` names them: such columns often mean other things
NAMES = tuple(dict.fromkeys([*(name for names in COLUMNS.values() for name in names), *EXPLICIT]))


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name as it is compared: without case, outer spaces, and the difference of `-`, space and `_`."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def known(data: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The key of `data` that goes by the first of these names that is there; None where none is."""
    for name in names:
        if name in data:
            return name
    keys = {plain(key): key for key in reversed(list(data)) if isinstance(key, str)}
    return next((keys[name] for name in names if name in keys), None)
