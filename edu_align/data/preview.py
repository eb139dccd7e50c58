"""Look at the data as the model will: records as text, with the trained tokens marked."""

from typing import Any

from edu_align.config.schema import Config
from edu_align.data.records import Message, Pair
from edu_align.data.training import TrainingData
from edu_align.models.tokenizer import IGNORED, encode, marked


def preview(config: Config, tokenizer: Any, data: TrainingData) -> str:
    """The first `preview` training examples; tokens that the loss reads stand between >>> and <<<."""
    blocks = []
    for example in data.train[: config.preview]:
        if isinstance(example, Pair):
            turns = [
                (kind, (*example.group.prompt, Message("assistant", example.group.responses[i].text, train=True)))
                for kind, i in (("chosen", example.chosen), ("rejected", example.rejected))
            ]
            name = f"{example.group.id} (margin {example.margin:g})"
        else:
            turns, name = [("conversation", example.messages)], example.id
        for kind, messages in turns:
            ids, labels = encode(tokenizer, messages, config.trainer.max_length)
            trained = sum(label != IGNORED for label in labels)
            blocks.append(f"--- {name}, {kind}: {len(ids)} tokens, {trained} trained\n{marked(tokenizer, ids, labels)}")
    return "\n".join(blocks)
