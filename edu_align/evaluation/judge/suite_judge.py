"""A judge beside the suite: compared with people's labels first, then asked about the models' replies."""

from dataclasses import dataclass

from edu_align.evaluation.judge.agreement import agreement
from edu_align.evaluation.judge.judging import judge
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.evaluation.suite.data import SourceAbsentError
from edu_align.evaluation.suite.replies import answered
from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.suite.run import IN_RUN, Suite
from edu_align.records import ResponseGroup
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json


@dataclass(frozen=True)
class SuiteJudge:
    """The judge of a suite and how far it agrees with people. Make it with `of`, which asks about that first."""

    suite: Suite
    settings: JudgeSettings
    agreed: MetricResult

    @classmethod
    def of(cls, suite: Suite, settings: JudgeSettings) -> "SuiteJudge":
        """Hold the judge against the human labels of MRBench's measured split, and print how far it agrees.

        Raises UserError for a suite of one model, where MRBench is not there, and for an endpoint that does not answer.
        """
        if len(suite.subjects) < 2:
            raise UserError(
                "`evaluation.judge` compares a trained model with the one that it started from, got "
                f"{suite.subjects[0].label} alone. Give run=<run>, or adapter=<folder> beside model."
            )
        try:
            labelled = suite.data.mrbench
        except SourceAbsentError as absent:
            raise UserError(
                f"`evaluation.judge` is held against the human labels of MRBench first ({absent}). Give data_root a "
                "folder with mrbench/."
            ) from None
        agreed = agreement(settings, labelled, suite.settings.margin, _training(suite))
        _print_notes(agreed)
        return cls(suite, settings, agreed)

    def ask(self) -> dict[str, MetricResult]:
        """The last model's replies to MRBench's dialogues beside every other model's, by metric; also in its run."""
        suite = self.suite
        by_model = {one.label: answered(one, suite.data, suite.settings) for one in suite.subjects}
        prompts = [one for one in next(iter(by_model.values())).prompts if one.source == "mrbench"]
        replies = {label: [generated.replies[one.item] for one in prompts] for label, generated in by_model.items()}
        for subject in suite.subjects:
            subject.release()
        judged = judge(replies.pop(suite.subjects[-1].label), replies, prompts, self.settings)
        _print_notes(judged)
        results = {result.metric: result for result in (self.agreed, judged)}
        if suite.run is not None:
            (suite.run / IN_RUN).mkdir(exist_ok=True)
            content = {"model": self.settings.model} | {name: result.as_json() for name, result in results.items()}
            write_json(suite.run / IN_RUN / f"judge-{suite.settings.split}.json", content)
        return results


def _training(suite: Suite) -> list[ResponseGroup] | None:
    try:
        return suite.data.mrbench_training
    except SourceAbsentError:
        return None


def _print_notes(result: MetricResult) -> None:
    for note in result.notes:
        print(f"edu_align: {note}", flush=True)
