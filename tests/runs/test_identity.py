"""The run id: what changes it, what does not, and that no key is forgotten."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.compose import compose
from edu_align.config.keys import every_key, stated
from edu_align.runs.identity import Identity, other_code, settings_of

# Every key, and every group, that is no part of the id: it only says how or where. Another new key changes the id.
OUTSIDE = {
    "outputs_root", "data_root", "init_from", "run_name", "force", "preview", "chain", "objective", "cache_gb",
    "accept_changed", "tracking", "generation", "export", "sweep", "model.path", "model.revision", "model.bundled",
    "model.template_date", "dataset.path", "rounds", "trainer.reward_run",
    "trainer.save_steps", "trainer.save_total_limit", "evaluation.metrics",
    *(
        f"hardware.{key}"
        for key in (
            "name", "device", "attention", "per_device_batch_size", "eval_batch_size", "gradient_checkpointing",
            "adapted_copies", "memory_gb", "memory_check", "min_compute_capability", "threads", "packing",
            "packing_backend", "sharding",
        )
    ),
    *(
        f"evaluation.judge{key}"
        for key in (
            "", "_model", "_pairs", "_requests_per_minute", "_concurrency", "_timeout", "_max_tokens", "_price_in",
            "_price_out",
        )
    ),
}  # fmt: skip
OTHER: dict[type, Any] = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: value + 0.5}


def test_every_key_is_classified() -> None:
    assert set(stated("outside_run_id")) == OUTSIDE


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "038e2883f535"),
        (["trainer=dpo"], "283f03e948bf"),
        (["experiment=tutor_dpo_cpu"], "01a73e9730f2"),
        (["experiment=zephyr_beta_sft_qlora", "adapter.rank=8", "+trainer.args.adam_beta2=0.95"], "d4298cc89e55"),
        (
            ["model=tiny", "hardware=cpu", "adapter=full", "dataset=mrbench", "trainer=dpo", "seed=7", "sweep.name=x",
             "evaluation.judge=http://localhost:8000/v1", "evaluation.judge_model=m", "export.gguf=f16"],
            "7c76f4ea73ad",
        ),
    ],
)  # fmt: skip
def test_ids_stay_what_they_are(overrides: list[str], expected: str) -> None:
    """Runs on disk are found by these: an id that changes here trains again what is there."""
    settings = settings_of(asdict(OmegaConf.to_object(compose([*overrides, "data_root=null"]))))
    assert Identity(settings, {"trained": "a"}, "base", None).id == expected


def identity(config: Any) -> Identity:
    return Identity(settings_of(asdict(config)), {"trained": "a"}, "random:tiny", None)


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_each_key_that_counts_changes_the_id_and_no_other_does(typed: Callable[..., Any], trainer: str) -> None:
    config = typed(f"trainer={trainer}")
    before = identity(config).id
    seen = set()
    for key in every_key():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = getattr(node, part, None)
        if not hasattr(node, last):
            continue  # another trainer's
        old = getattr(node, last)
        new = OTHER.get(type(old), lambda value: {"a": 1} if isinstance(value, dict) else [] if value else "other")(old)
        setattr(node, last, new)
        assert (identity(config).id != before) == (not {key, key.partition(".")[0]} & OUTSIDE), key
        setattr(node, last, old)
        seen.add(key)
    assert identity(config).id == before
    assert len(seen) > 90


def test_order_and_defaults_play_no_part(typed: Callable[..., Any]) -> None:
    plain = identity(typed("trainer=dpo", "seed=7", "trainer.beta=0.3")).id
    assert identity(typed("trainer.beta=3e-1", "trainer.label_smoothing=0", "seed=7", "trainer=dpo")).id == plain
    assert len(plain) == 12
    assert set(plain) <= set("0123456789abcdef")


def test_data_base_model_and_parent_play_a_part(typed: Callable[..., Any]) -> None:
    settings = settings_of(asdict(typed("trainer=sft")))
    given = [({"trained": "a"}, "base", None), ({"trained": "b"}, "base", None), ({"trained": "a"}, "other", None),
             ({"trained": "a"}, "base", "0123"), ({"trained": "a", "scored": "c"}, "base", None)]  # fmt: skip
    assert len({Identity(settings, *rest).id for rest in given}) == len(given)


def test_differences_name_key_and_values(typed: Callable[..., Any]) -> None:
    here, there = (identity(typed("trainer=dpo", f"trainer.beta={beta}")) for beta in (0.3, 0.1))
    assert here.differences(there) == ["trainer.beta (0.1 there, 0.3 here)"]
    assert here.differences(here) == []


def test_other_code_is_described_by_versions_commit_and_changes() -> None:
    now = {"versions": {"torch": "2", "trl": "1"}, "git": {"commit": "a" * 40, "diff": None}}
    assert other_code(now, now) == ""
    then = {"versions": {"torch": "1", "peft": "3"}, "git": {"commit": "b" * 40, "diff": "c"}}
    assert other_code(then, now) == (
        "peft 3 then, absent now; torch 1 then, 2 now; trl absent then, 1 now; "
        "commit bbbbbbbbb then, aaaaaaaaa now; other uncommitted changes"
    )
