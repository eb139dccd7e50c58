"""A reward model under measurement, and what it thinks of the replies that other models write to the suite's dialogues.

A reward has a scale of its own: two rewards compare where one model gave both.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.data.datamodule import trained_groups
from edu_align.evaluation.preference import win
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.prompts import Generated, Prompt, generate
from edu_align.evaluation.suite.replies import answered, own_prompts
from edu_align.evaluation.suite.results import MetricResult, Scored, Series, Subject
from edu_align.evaluation.suite.subject import LoadedSubject, Rows, Weights
from edu_align.models.chat_template import TemplateError, render
from edu_align.models.reward import FACTS, facts_in
from edu_align.models.trained_turns import answered as with_reply
from edu_align.models.trained_turns import check_dialogue
from edu_align.records import Message
from edu_align.runs.finished import check_base, run_config
from edu_align.runs.folder import RunFolder, ancestors, find_run
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json

METRIC, WINS, IN_RUN = "reward", "reward_wins", "evaluation"
HUMAN, SAYS_NOTHING = "human tutor", "constant reply"
EXAMPLES = 5  # replies of the highest and of the lowest reward that a result keeps for people


class RewardSubject(LoadedSubject):
    """A reward model: it gives `rewards`, and what asks for likelihoods or replies is left out."""

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        return super().identity | {FACTS: facts_in(self.weights.folder)}

    def rewards(self, rows: Rows) -> list[list[float]]:
        return [[reward for reward, _ in row] for row in super().score(rows)]

    def score(self, rows: Rows) -> list[list[Scored]]:
        raise SourceAbsentError(f"{self.label} is a reward model, which gives no likelihoods")

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        raise SourceAbsentError(f"{self.label} is a reward model, which writes no replies")


def find_scorer(name: str, overrides: dict[str, str], outputs_root: Path) -> tuple[RunFolder, RewardSubject]:
    """The reward model of the run `name`. Errors: no such run, one that writes text, another base model."""
    run = find_run("reward", name, outputs_root)
    _, config = run_config(str(run.path), overrides, str(outputs_root))
    if facts_in(run.path) is None:
        raise UserError(
            f"`reward={name}` is no reward model: that run was trained with trainer={run.record.get('trainer')}. Give "
            "a run of trainer=reward."
        )
    scorer = RewardSubject("REWARD", Weights(config, run.path), Settings().max_length)
    check_base(f"reward={name}", run, scorer.location)
    return run, scorer


@dataclass(frozen=True)
class RewardView:
    """What a run's reward model thinks of the replies of a suite's models; on no question that it was trained on."""

    run: RunFolder
    scorer: RewardSubject
    data: SuiteData
    settings: Settings

    @classmethod
    def of(cls, name: str, overrides: dict[str, str], outputs: Path, config: Config, suite: Any) -> "RewardView":
        """`overrides`: keys of `hardware`; `suite`: whose models are scored. Errors: those of `find_scorer`."""
        run, scorer = find_scorer(name, overrides, outputs)
        seen = suite.data.seen | frozenset(trained_groups(ancestors(run)))
        data = SuiteData(config.dataset, config.data_root, config.outputs_root, suite.settings, seen)
        return cls(run, scorer, data, suite.settings)

    def ask(self, suite: Any) -> tuple[dict[str, MetricResult], list[str]]:
        """A result for each model of the suite that writes replies, by its label, also in its run; and notes on what
        was left out.
        """
        written: dict[str, Generated] = {}
        notes: dict[str, None] = {}
        for subject in suite.subjects:
            try:
                written[subject.label] = self._written(subject)
            except SourceAbsentError as absent:
                notes[f"{METRIC} left out: {absent}"] = None
            subject.release()
        found = {label: self._scored(generated) for label, generated in written.items()}
        self.scorer.release()
        if suite.run is not None and found:
            (suite.run / IN_RUN).mkdir(exist_ok=True)
            content = {"reward": self.run.path.name} | {label: result.as_json() for label, result in found.items()}
            write_json(suite.run / IN_RUN / f"{METRIC}-{self.settings.split}.json", content)
        return found, list(notes)

    def _written(self, subject: Subject) -> Generated:
        """Replies to the public sources and to the run's own data, as far as they are there. Errors: none is."""
        own = partial(_own_replies, subject, self.data, self.settings)
        parts, absent = [], SourceAbsentError("")
        for write in (partial(answered, subject, self.data, self.settings), own):
            try:
                parts.append(write())
            except SourceAbsentError as error:
                absent = error
        if not parts:
            raise absent
        prompts = {one.item: one for part in parts for one in part.prompts if one.human}
        replies = {item: text for part in parts for item, text in part.replies.items()}
        return Generated(tuple(prompts.values()), replies)

    def _scored(self, generated: Generated) -> MetricResult:
        write = partial(render, self.scorer.tokenizer)
        rows, refused = [], 0
        for one in generated.prompts:
            texts = [generated.replies[one.item], one.human, CONSTANT]
            try:
                for text in texts:
                    check_dialogue(write, with_reply(one.turns, text))
            except TemplateError:
                refused += 1
                continue
            rows.append((one, texts))
        if not rows:
            raise SourceAbsentError("the reward model's chat template refuses every reply")
        rewards = self.scorer.rewards([(one.turns, texts) for one, texts in rows])
        note = f"{refused} prompts are left out: the reward model's chat template refuses a reply to them."
        return _result(self.run.path.name, [one for one, _ in rows], rewards, generated, (note,) * bool(refused))


def _own_replies(subject: Subject, data: SuiteData, settings: Settings) -> Generated:
    return generate(subject, own_prompts(data), settings.max_new_tokens)


def _result(
    name: str,
    prompts: Sequence[Prompt],
    rewards: Sequence[Sequence[float]],
    generated: Generated,
    notes: tuple[str, ...],
) -> MetricResult:
    """`rewards`: of the model's reply, the human's and the constant one, a row a prompt."""
    measured: dict[str, Series] = {}
    baselines: dict[str, dict[str, Series]] = {}
    sources = sorted({one.source for one in prompts})
    for source in ["", *sources] if len(sources) > 1 else sources:
        places = [i for i, one in enumerate(prompts) if source in ("", one.source)]
        own, human, constant = (
            Series.over([prompts[i] for i in places], (rewards[i][column] for i in places)) for column in range(3)
        )
        end = f"/{source}" if source else ""
        measured[METRIC + end], baselines[METRIC + end] = own, {HUMAN: human, SAYS_NOTHING: constant}
        measured[WINS + end] = _wins(own, human)
        baselines[WINS + end] = {SAYS_NOTHING: _wins(constant, human)}
    order = sorted(range(len(prompts)), key=lambda i: -rewards[i][0])
    shown = dict.fromkeys([*order[:EXAMPLES], *order[-EXAMPLES:]])
    rows = [
        generated.row(prompts[i]) | {METRIC: rewards[i][0], "human": prompts[i].human, "reward_of_human": rewards[i][1]}
        for i in shown
    ]
    definition = (
        f"Mean reward that the reward model {name} gives to replies, beside the human tutors' replies to the same "
        f'dialogues and to "{CONSTANT}". It says what that model likes, on its own scale, and can be gamed as it can. '
        f"{WINS}: share of dialogues whose reply it likes better than the human tutor's, as MathTutorBench scores "
        "scaffolding (with a reward model of its own)."
    )
    units = {name: "share" if name.startswith(WINS) else METRIC for name in measured}
    better = dict.fromkeys(measured, "higher")
    return MetricResult(METRIC, definition, measured, baselines, units, better, notes, tuple(rows))


def _wins(own: Series, human: Series) -> Series:
    """1 where a reply's reward is above the human tutor's, 1/2 for a tie."""
    return replace(own, values=tuple(map(win, own.values, human.values)))
