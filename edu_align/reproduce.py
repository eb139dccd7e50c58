"""SFT, then DPO, then evaluation and a report: what `make reproduce` runs.

    python -m edu_align.reproduce                        the built-in corpus
    python -m edu_align.reproduce data_root=../data      the tutor recipe on MathDial, Bridge and MRBench, under
                                                         several seeds (seeds=42,43,44), measured by the whole suite

Further key=value words go to both stages, so they must fit both. The report lies in outputs_root/reports, and the
last line says whether the results agree with the ones kept in experiments/.
"""

import json
import sys
import time
from pathlib import Path

from edu_align.config.arguments import split_word
from edu_align.utils.errors import UserError
from edu_align.utils.program import program

METRICS = ("pair_accuracy_own", "human_turn_nll")  # on the report's page: those of the suite that need no download


@program
def main() -> None:
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return
    keys = [split_word(word, "Example: data_root=../data seed=1.")[0] for word in words]
    from edu_align.config.machine_settings import PLACES, for_command

    words = for_command(words, PLACES, ("hardware", "tracking"))
    if "data_root" in keys:
        from edu_align.recipes.tutor import repeat

        repeat(words, kept_results("tutor"))
    else:
        reproduce(words)


def reproduce(words: list[str]) -> bool:
    """Run both stages and write the report; returns whether the results agree with the kept ones."""
    from edu_align.training.chain import run_chain

    began = time.monotonic()
    done = run_chain(["reproduce_sft", "reproduce_dpo"], words)[-1]
    if done is None:
        raise UserError("`preview` shows data and trains nothing, so there is nothing to reproduce. Leave it out.")
    run = done.path
    from edu_align.models.speed import Speed, watched
    from edu_align.recipes.kept_results import check_kept
    from edu_align.recipes.tutor import measure_run, report_runs
    from edu_align.reports.stages import Stage, read_evaluation, results_table
    from edu_align.utils.tables import text

    trained = read_evaluation(run)
    if "base" not in trained:
        raise UserError(
            f"{run}/evaluation.json has no part `base`: an earlier edu_align wrote it. Remove the folder, or "
            "choose another outputs_root, and run again."
        )
    results = {"base": trained["base"], "SFT": trained["before"], "DPO": trained["after"]}
    with watched(Speed()) as speed:
        measure_run(run, METRICS)
    folder = report_runs([run], "reproduce")
    (folder / "results.json").write_text(json.dumps(results | speed.summary(), indent=1) + "\n", encoding="utf-8")
    print("\n".join(text(results_table([Stage(label, found) for label, found in results.items()]))))
    print(f"edu_align: report {folder / 'report.html'}, with report.md; {time.monotonic() - began:.0f} s in all")
    agrees, lines = check_kept(kept_results("reproduce"), results)
    print("\n".join(f"edu_align: {line}" for line in lines))
    return agrees


def kept_results(experiment: str) -> Path:
    """Results kept in the checkout's experiments/; a wheel has none."""
    return Path(__file__).resolve().parents[1] / "experiments" / experiment / "results.json"


if __name__ == "__main__":
    main()
