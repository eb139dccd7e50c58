"""What a sweep shows, and what it does not: the best run, caveats, and the commands to go on with."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.reports.html.page import shown_path
from edu_align.reports.stages import Stage, baselines_of
from edu_align.reports.sweep.reading import Entry, Job, Sweep, run_config
from edu_align.reports.sweep.table import as_text, number, setting, settings
from edu_align.utils.tables import cell


@dataclass(frozen=True)
class Best:
    """The best job in words.

    `over_seeds` names the best setting where seeds were swept. `chat_command` is empty where the run's folder is gone,
    `retrain_command` where no command is known.
    """

    job: Job
    value: str
    setting: str
    baselines: list[str]
    over_seeds: str
    chat_command: str
    retrain_command: str


def best(sweep: Sweep) -> Best | None:
    """The job of the best objective; None where no job has one yet."""
    ranked = sweep.ranked()
    if not ranked:
        return None
    job = ranked[0]
    entry = job.entries.get(sweep.objective)
    count = f", n {entry['n']} ({entry['clusters']} groups)" if entry else ""
    there = job.run is not None and (job.run / "run.json").is_file()
    return Best(
        job=job,
        value=(cell(entry) if entry else number(float(job.objective or 0))) + count,
        setting=_words(job.values),
        baselines=_baselines(sweep, job),
        over_seeds=_over_seeds(sweep),
        chat_command=chat_command(job.run) if there and job.run else "",
        retrain_command=retrain_command(sweep, job) if job.overrides or sweep.command else "",
    )


def headline(sweep: Sweep) -> str:
    """One sentence: the best setting and what it reached, and from how many others it is not told apart."""
    ranked = sweep.ranked()
    if not ranked:
        return f"No job has finished with a finite {sweep.objective} yet."
    near, seeds = _near(sweep, ranked), settings(sweep)
    said = (
        f"Of {len(ranked)} finished jobs, job {ranked[0].number} is the best: {number(float(ranked[0].objective or 0))}"
    )
    parts = [f"from {near} of the others it is not told apart"] if near else []
    parts += [] if seeds else ["what another seed would reach is not shown"]
    return f"{said} with {setting(ranked[0]) or 'no key swept'}{'; ' if parts else ''}{', and '.join(parts)}."


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={as_text(value)}" for key, value in values.items()) or "no key swept"


def _over_seeds(sweep: Sweep) -> str:
    found = settings(sweep)
    if not found or not found[0].values:
        return ""
    top = found[0]
    spread = "" if top.spread is None else f", standard deviation {number(top.spread)}"
    return (
        f"{_words(top.values)}: mean {number(top.mean)}{spread}, over {top.count} seed{'' if top.count == 1 else 's'}"
    )


def status(sweep: Sweep) -> str:
    """`8 jobs: 6 finished, 1 failed, 1 running`."""
    counts = sweep.counts()
    parts = [f"{count} {state}" for state, count in counts.items()]
    total = sum(counts.values())
    return f"{total} job{'' if total == 1 else 's'}: {', '.join(parts) or 'none yet'}"


def caveats(sweep: Sweep) -> list[str]:
    """Sentences that a reader of the best value has to know."""
    ranked = sweep.ranked()
    found = _incomplete(sweep, len(ranked))
    if not ranked:
        return found
    return [*found, *_chosen(sweep, ranked), *_close(sweep, ranked), *_seeds(sweep, ranked)]


def _incomplete(sweep: Sweep, ranked: int) -> list[str]:
    counts = sweep.counts()
    lost = {state: n for state, n in counts.items() if state not in ("finished", "running", "waiting", "pruned")}
    found = []
    if lost:
        found.append(
            f"{' and '.join(f'{n} {state}' for state, n in lost.items())}: these jobs are in no comparison, and what "
            "they would have reached is not known. Their errors are in the table."
        )
    if counts.get("pruned"):
        found.append(f"{counts['pruned']} pruned: stopped early, so their last values are not those of a whole run.")
    if counts.get("running") or counts.get("waiting"):
        left = counts.get("running", 0) + counts.get("waiting", 0)
        found.append(f"{left} of {sum(counts.values())} jobs are not done yet, so the best may change.")
    without = counts.get("finished", 0) - ranked
    if without:
        found.append(f"{without} finished without a finite {sweep.objective}: in no comparison.")
    return found


def _chosen(sweep: Sweep, ranked: list[Job]) -> list[str]:
    """On which data the best was chosen, and what that makes of its value."""
    if len(ranked) < 2:
        return []
    job, name = ranked[0], sweep.objective
    of = f"The best of {len(ranked)}"
    if not name.startswith("eval/"):
        return [f"{of} is chosen by {name}, a number from training: it does not say what held-out data would."]
    if name in job.metrics and name.removeprefix("eval/") not in (job.evaluation.get("after") or {}):
        return [f"{of} is chosen on the trainer's validation examples, so its own value there is optimistic."]
    split = split_of(job)
    if split is None:
        return [f"{of} is chosen on the split that is reported, so its value is optimistic."]
    if split == "test":
        return [
            f"{of} is chosen on the test split, so its value and interval are optimistic, the more so the more jobs "
            "there are. Choose with evaluation.split=validation and measure the chosen one on test, once."
        ]
    command = (
        f"python -m edu_align.evaluate run={shlex.quote(shown_path(job.run))} evaluation.split=test" if job.run else ""
    )
    then = f" Then measure it on test, once: {command}" if command else ""
    return [f"{of} is chosen on the {split} split, so its value there is optimistic.{then}"]


def _near(sweep: Sweep, ranked: list[Job]) -> int:
    """How many others have an interval that reaches the best value."""
    sign = 1 if sweep.direction == "maximize" else -1
    top = float(ranked[0].objective or 0)
    side = "high" if sign > 0 else "low"
    ends = [job.entries[sweep.objective][side] for job in ranked[1:] if sweep.objective in job.entries]
    return sum(end is not None and sign * end >= sign * top for end in ends)


def _close(sweep: Sweep, ranked: list[Job]) -> list[str]:
    near = _near(sweep, ranked)
    if not near:
        return []
    return [
        f"The intervals of {near} of the {len(ranked) - 1} other jobs reach the best value: they are not told apart."
    ]


def _seeds(sweep: Sweep, ranked: list[Job]) -> list[str]:
    found = settings(sweep)
    if not found:
        return ["Every setting has one seed; how much another seed would change is in no interval."]
    top = found[0]
    if top.best.number != ranked[0].number and top.values:
        return ["The best single run is not of the setting with the best mean over seeds: prefer the setting."]
    return []


def split_of(job: Job) -> str | None:
    """`validation` or `test`, as the run's config says; None where that is gone."""
    value = run_config(job.run).get("evaluation.split")
    return None if value is None else str(value)


def _baselines(sweep: Sweep, job: Job) -> list[str]:
    """The same number before training, and the plain rules on the same items."""
    found = []
    short = sweep.objective.removeprefix("eval/")
    before: Entry | None = job.entries.get(f"before/{short}")
    if sweep.objective.startswith("eval/") and before:
        found.append(f"before training {cell(before)}")
    stage = Stage("best", job.evaluation.get("after") or {})
    rules = baselines_of([stage], short) if sweep.objective in job.entries else []
    return found + [f"{rule.replace('_', ' ')} {value:.3f}" for rule, value in rules]


def confidence(sweep: Sweep) -> str:
    """`95 % intervals from resampling whole groups`, with the coverage that the runs used; empty without intervals."""
    used = {
        part.get("settings", {}).get("confidence", 0.95)
        for job in sweep.jobs
        if job.entries
        for part in job.evaluation.values()
        if isinstance(part, dict)
    }
    if not used:
        return ""
    return f"{' or '.join(f'{100 * value:g}' for value in sorted(used))} % intervals from resampling whole groups"


TRAIN = "python -m edu_align.train"
OF_THE_SWEEP = ("sweep", "hydra", "force", "run_name")  # what a single run is not given; `force` is set here


def chat_command(run: Path) -> str:
    return f"python -m edu_align.chat run={shlex.quote(shown_path(run))}"


def retrain_command(sweep: Sweep, job: Job) -> str:
    """Train the job once more from the start, beside what is there: the words of the sweep's command, then its own."""
    own = {key_of(word) for word in job.overrides}
    kept = [word for word in sweep.command if "=" in word and not word.startswith("-")]
    kept = [word for word in kept if key_of(word) not in own and key_of(word) not in sweep.keys]
    words = [
        word for word in [*kept, *job.overrides] if key_of(word).replace("/", ".").split(".")[0] not in OF_THE_SWEEP
    ]
    return " ".join([TRAIN, *map(shlex.quote, words), "force=true"])


def sweep_command(sweep: Sweep) -> str:
    """The sweep's own command, which goes on where it stopped; empty where it is not known.

    A command that begins with the program's file, as sys.argv does, is written with `python -m` in its place.
    """
    words = list(sweep.command)
    if words and Path(words[0]).name.startswith("python"):
        return shlex.join(words)
    return " ".join([TRAIN, *map(shlex.quote, words[1:] if words[0].endswith(".py") else words)]) if words else ""


def key_of(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
