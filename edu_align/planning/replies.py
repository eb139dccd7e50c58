"""What GRPO computes in training, before a reply is written: each is taken to be as long as it may become."""

from collections.abc import Iterator, Sequence

from edu_align.config.batch import cuts_by_tokens, device_batch, prompts_per_step, token_budget, training_steps
from edu_align.config.schema import Config, GRPOTrainerConfig

Pass = tuple[int, int, int]  # tokens computed, width of the longest row, replies
ASSUMED = (
    "replies are taken at trainer.max_completion_length, and every dialogue is taken to be one that the rewards read"
)


def replies_work(config: Config, prompts: Sequence[int], examples: int | None, packed: bool) -> dict[str, int | None]:
    """The fields of `workload.Work` but `source`, of dialogues with `prompts` tokens each; of none, where nobody knows
    them, dialogues are as long as they may be.
    """
    trainer = _trainer(config)
    step, longest = prompts_per_step(trainer), trainer.max_length - trainer.max_completion_length
    known = list(prompts) or [longest] * step
    seen = [known[i : i + step] for i in range(0, len(known), step)]
    passes = [[*_passes(config, each, packed)] for each in seen]
    tokens, width, replies = max(one for each in passes for one in each)
    steps = trainer.max_steps if trainer.max_steps > 0 else None
    steps = training_steps(config, examples) if examples is not None else steps
    mean = sum(one[0] for each in passes for one in each) / len(known)  # tokens a dialogue
    validated = sorted(known)[-config.hardware.eval_batch_size :]
    return {
        "tokens": tokens,
        "width": width,
        "scored": replies * trainer.max_completion_length,
        "eval_tokens": sum(validated) + len(validated) * trainer.max_completion_length,
        "examples": examples,
        "steps": steps,
        "total_tokens": None if steps is None else round(mean * steps * step),
    }


def _trainer(config: Config) -> GRPOTrainerConfig:
    assert isinstance(config.trainer, GRPOTrainerConfig)
    return config.trainer


def _passes(config: Config, prompts: Sequence[int], packed: bool) -> Iterator[Pass]:
    """The passes of a step: a fixed number of replies, or as many as the token budget holds, prompts computed once."""
    trainer = _trainer(config)
    reply = trainer.max_completion_length
    every = [(i, prompt) for i, prompt in enumerate(prompts) for _ in range(trainer.num_generations)]
    if not cuts_by_tokens(packed, config.trainer.algorithm):
        size = device_batch(config, False)
        for start in range(0, len(every), size):
            part = every[start : start + size]
            width = max(prompt for _, prompt in part) + reply
            yield width * len(part), width, len(part)
        return
    tokens, inside, replies = 0, set[int](), 0
    for i, prompt in every:
        added = reply + (0 if i in inside else prompt)
        if replies and tokens + added > token_budget(config):
            yield tokens, tokens, replies
            tokens, inside, replies, added = 0, set[int](), 0, prompt + reply
        tokens, replies = tokens + added, replies + 1
        inside.add(i)
    yield tokens, tokens, replies
