"""MathTutorBench's Socratic questioning (Macina et al. 2025, arXiv:2502.18940) on GSM8K's test problems."""

import re

from edu_align.evaluation.bleu import sentence_bleu
from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.prompts import Prompt, chosen, generate
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.records import Conversation, Message

MOST = 100  # problems that are asked
ASK = (
    "Write the questions that lead a student through this problem, one behind the other on one line, and nothing else."
)
CONSTANT = "How many are there in total?"
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def socratic_questioning(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """BLEU of the questions that a model asks about a GSM8K problem, against those of GSM8K's Socratic form.

    As MathTutorBench counts it: the best line of the reply against all of the problem's questions, the mean over
    problems. It rewards the words of the problem: the rule that copies its last sentence stands beside it, and one that
    asks the same whatever the problem. Words of MathTutorBench's prompt are not used, so published numbers are near at
    best.
    """
    most = MOST if settings.max_groups is None else min(MOST, settings.max_groups)
    asked = {_item(talk): talk for talk in data.gsm8k}
    prompts = chosen((_prompt(talk) for talk in data.gsm8k), most)
    written = generate(subject, prompts, settings.max_new_tokens)

    def bleu(one: Prompt, text: str) -> float:
        questions = [turn.content for turn in asked[one.item].messages if turn.role == "assistant"]
        return max((sentence_bleu(line, questions) for line in text.split("\n") if line.strip()), default=0.0)

    rules = {
        "last sentence of the problem": lambda one: _SENTENCE.split(asked[one.item].meta["problem"].strip())[-1],
        "constant question": lambda one: CONSTANT,
    }
    name = "socratic_bleu"
    return MetricResult.alike(
        "socratic_questioning",
        "GSM8K test: BLEU of a model's questions about a problem against the questions of GSM8K's Socratic form.",
        {name: Series.over(prompts, [bleu(one, written.replies[one.item]) for one in prompts])}, "share", "higher",
        baselines={name: {rule: Series.over(prompts, [bleu(one, text(one)) for one in prompts])
                          for rule, text in rules.items()}},
        notes=(f"{len(prompts)} of {len(data.gsm8k)} problems, those of the smallest content hash.",),
        examples=tuple(written.row(one) for one in prompts[:5]),
    )  # fmt: skip


def _item(talk: Conversation) -> str:
    return f"{talk.source}:{talk.id}"


def _prompt(talk: Conversation) -> Prompt:
    return Prompt(_item(talk), talk.group, talk.source, (Message("user", f"{talk.meta['problem']}\n\n{ASK}"),))
