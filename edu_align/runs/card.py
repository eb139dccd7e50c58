"""The model card of a run: what it is, how it was made, what it scored, what it is not."""

from typing import Any

from edu_align.config.schema import Config


def model_card(config: Config, record: dict[str, Any]) -> str:
    """Markdown with the front matter of the hub; every number comes from the run's own record."""
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(record["metrics"].items())]
    start = f" It continues the run {record['init_from']}." if record["init_from"] else ""
    return "\n".join(
        [
            "---",
            f"base_model: {config.model.path or config.model.name}",
            "library_name: peft" if config.adapter.name == "lora" else "library_name: transformers",
            f"tags: [edu_align, {config.trainer.algorithm}, tutoring]",
            "---",
            f"# {config.model.name}, taught by {config.trainer.algorithm.upper()} on {config.dataset.name}",
            "",
            f"Trained by edu_align {record['versions']['edu_align']} from {record['base_model']}, adapter="
            f"{config.adapter.name}, seed {config.seed}, on {record['machine']}.{start}",
            "",
            "`config.yaml` beside this file holds every setting, `run.json` the data fingerprints and versions,",
            "`evaluation.json` each metric's n, interval and baselines.",
            "",
            "| metric | value |",
            "|---|---|",
            *rows,
            "",
            "## Limits",
            "",
            "The metrics rank given replies on held-out questions of the same data; they do not show that a student",
            "learns more. A small model makes mathematical mistakes: let a person check what it tells a student.",
            "",
        ]
    )
