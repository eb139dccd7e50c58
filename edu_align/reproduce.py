"""SFT, then DPO, then evaluation and a report: what `make reproduce` runs.

    python -m edu_align.reproduce                        the built-in corpus
    python -m edu_align.reproduce data_root=../data      the tutor recipe on MathDial, Bridge and MRBench, under
                                                         several seeds (seeds=42,43,44), measured by the whole suite

Further key=value words go to both stages, so they must fit both. The report lies in outputs_root/report, and the last
line says whether the results agree with the ones kept in experiments/.
"""

import json
import sys
import time
from pathlib import Path

from edu_align.config.arguments import split_word
from edu_align.errors import UserError, entry_point
from edu_align.runs.folder import RunFolder


def main() -> None:
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return
    keys = [split_word(word, "Example: data_root=../data seed=1.")[0] for word in words]
    if "data_root" in keys:
        from edu_align.repeat import repeat

        repeat(words, kept_results("tutor"))
    else:
        reproduce(words)


def reproduce(words: list[str]) -> bool:
    """Run both stages and write the report; returns whether the results agree with the kept ones."""
    from edu_align.chain import run_chain

    began = time.monotonic()
    runs = run_chain(["reproduce_sft", "reproduce_dpo"], words)
    sft_folder, dpo_folder = (_finished(folder) for folder in (runs[0], runs[-1]))
    from edu_align.evaluation.agreement import check
    from edu_align.evaluation.report import write_report
    from edu_align.evaluation.stages import Stage, read_evaluation

    trained = read_evaluation(dpo_folder)
    if "base" not in trained:
        raise UserError(
            f"{dpo_folder}/evaluation.json has no part `base`: an earlier edu_align wrote it. Remove the folder, or "
            "choose another outputs_root, and run again."
        )
    stages = [
        Stage("base", None, trained["base"]),
        Stage("SFT", sft_folder, trained["before"]),
        Stage("DPO", dpo_folder, trained["after"]),
    ]
    report = dpo_folder.parents[1] / "report"
    written = write_report(report, stages)
    results = {stage.label: stage.evaluation for stage in stages}
    (report / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"edu_align: report {written}, with curves.png and before_after.png; {time.monotonic() - began:.0f} s in all")
    agrees, lines = check(kept_results("reproduce"), results)
    print("\n".join(f"edu_align: {line}" for line in lines))
    return agrees


def _finished(run: RunFolder | None) -> Path:
    if run is None:
        raise UserError("`preview` shows data and trains nothing, so there is nothing to reproduce. Leave it out.")
    return run.path


def kept_results(experiment: str) -> Path:
    """Results kept in the checkout's experiments/; a wheel has none."""
    return Path(__file__).resolve().parents[1] / "experiments" / experiment / "results.json"


if __name__ == "__main__":
    entry_point(main)
