"""Does a model read what the student did? Replies of one author and one style, of which only one fits the step."""

from edu_align.evaluation import baselines
from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.pair_accuracy import pairs_over, with_and_without
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.records import Pair


def diagnosis(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of pairs in which the feedback on a student's wrong step scores above feedback on another step.

    CogTutorBugs, held-out equations: one tutoring program wrote both, about two mistakes on one equation, and each of
    the two is right once and wrong once. So a scorer that does not read the step gets exactly 0.5: `_no_dialogue`, and
    every rule that looks at the reply alone. Scores are those of pair accuracy: `mean_logp`, what training added
    (`implicit`), or a reward model's `reward`.
    """
    pairs = pairs_over(data.cogtutorbugs, settings.margin, balanced=True, names=_sentences)
    rules = baselines.pair_rules(None)
    return with_and_without("diagnosis", diagnosis, subject, data.cogtutorbugs, pairs, rules)


def _sentences(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    """The two sentences on their equation: each is to be chosen as often as it is rejected."""
    equation = pair.group.meta["problem"]
    chosen, rejected = (pair.group.responses[place].text for place in (pair.chosen, pair.rejected))
    return (equation, chosen), (equation, rejected)
