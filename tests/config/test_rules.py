"""Every rule across keys, each with an override that breaks it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.config.bounds import enumerations, holds, out_of_bounds, ranges
from edu_align.config.compose import compose
from edu_align.config.keys import every_key, leaves
from edu_align.config.rules import problems as rule_problems
from edu_align.config.schema import DPO_LOSSES, GROUP_SCHEMAS, METRICS, trainers
from edu_align.config.trl_args import enumeration

Problems = Callable[..., list[str]]
BOUNDS, WORDS = ranges(), enumerations()


def _outside(rule: str) -> list[float]:
    """Values just outside a rule: `">= 0 and < 0.5"` gives -1 and 0.5."""
    edges = {">": 0, ">=": -1, "<": 0, "<=": 1}
    clauses = [clause.split() for clause in rule.split(" and ")]
    return [float(limit) + edges[sign] for sign, limit in clauses]


@pytest.mark.parametrize("key", BOUNDS)
def test_numbers_outside_their_range_are_refused(key: str) -> None:
    rule, common = BOUNDS[key]
    for value in _outside(rule):
        (found,) = out_of_bounds({key: value})
        assert found.startswith(f"`{key}` must be {rule}, got {value}. A common value is {key}=")
    inside = None if common == "null" else float(common)
    assert list(out_of_bounds({key: inside})) == []


@pytest.mark.parametrize("algorithm", ["dpo", "kto", "reward", "grpo"])
def test_the_range_of_every_number_is_checked(problems: Problems, algorithm: str) -> None:
    """Two trainers may have other ranges for one key."""
    own = leaves(GROUP_SCHEMAS["trainer"][f"{algorithm}_schema"], "trainer.")
    bounds = {key: rule for key, (rule, _) in ranges(algorithm).items() if key in own or not key.startswith("trainer.")}
    found = problems(f"trainer={algorithm}", *(f"{key}={int(min(_outside(rule)))}" for key, rule in bounds.items()))
    refused = {text.split("`")[1] for text in found if "must be >" in text} - {"trainer.loss_type=kto"}
    assert refused == set(bounds)


@pytest.mark.parametrize("key", [key for key in WORDS if key not in ("adapter.name", "tracking.name")])
def test_words_outside_their_enumeration_are_refused(problems: Problems, key: str) -> None:
    having = [name for name in trainers() if key in leaves(GROUP_SCHEMAS["trainer"][f"{name}_schema"], "trainer.")]
    trainer = having[0] if having and "dpo" not in having else "dpo"
    words = enumerations(trainer)[key]
    wrong = words[-1] + words[-1][-1]
    lists = ("dataset.sources", "dataset.leave_out", "dataset.contrast_kinds")
    value = f"[{wrong}]" if key in lists else wrong
    found = problems(f"trainer={trainer}", f"{key}={value}")
    assert found[0].startswith(
        f"`{key}` must be one of {' | '.join(words)}, got {wrong!r}. Did you mean `{words[-1]}`?"
    )


def test_a_mapping_takes_keys_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,good,bad\n")
    columns = "dataset.columns={prompt: question, chosen: good, rejected: bad}"
    composed = compose(
        ["trainer=dpo", "dataset=local", f"dataset.path={file}", columns, "trainer.args={adam_beta2: 0.95}"]
    )
    assert composed.dataset.columns == {"prompt": "question", "chosen": "good", "rejected": "bad"}
    assert composed.trainer.args == {"adam_beta2": 0.95}


def test_the_tables_name_real_keys() -> None:
    assert set(BOUNDS) | set(WORDS) <= set(every_key())
    assert len(BOUNDS) >= 35
    assert len(set(DPO_LOSSES)) == 18


def test_the_metrics_are_those_of_the_suite() -> None:
    from edu_align.evaluation.suite import registry

    assert tuple(registry.METRICS) == METRICS


CASES = [
    (["trainer.max_steps=0"], "`trainer.max_steps` must be -1 (epochs decide) or > 0, got 0."),
    (["trainer.epochs=0"], "`trainer.epochs` must be > 0, got 0.0."),
    (["trainer.batch_size=6", "hardware.per_device_batch_size=4"],
     "`trainer.batch_size` must be a multiple of `hardware.per_device_batch_size` (4), got 6."),
    (["trainer=dpo", "trainer.loss_type=exo_pair"], "`trainer.loss_type` exo_pair needs `trainer.label_smoothing` > 0"),
    (["trainer=dpo", "trainer.label_smoothing=0.1"],
     "`trainer.label_smoothing=0.1` does nothing with trainer.loss_type=sigmoid. Set trainer.loss_type=robust,"),
    (["trainer.lr_scheduler=cosin"], "`trainer.lr_scheduler` must be one of"),
    (["hardware.optimizer=adamw_torchh"], "`hardware.optimizer` must be one of"),
    (["trainer=dpo", "dataset=mathdial"], "trainer=dpo needs preferences, and mathdial (`dataset.sources`) has none."),
    (["trainer=dpo", "dataset.sources=[bridge,gsm8k_socratic]"], "trainer=dpo needs preferences, and gsm8k_socratic"),
    (["dataset.sources=[]"], "`dataset.sources` must name at least one source, got []."),
    (["dataset=local"], "dataset=local needs a file. Set dataset.path=<file>"),
    (["dataset=local", "dataset.path=no.jsonl"], "`dataset.path` must be a file, and 'no.jsonl' does not exist."),
    (["dataset.path=a.jsonl"], "`dataset.path` is for dataset=local, got 'a.jsonl' with dataset=edu_tutor."),
    (["dataset.test_fraction=0.6", "dataset.validation_fraction=0.4"],
     "`dataset.test_fraction` + `dataset.validation_"),
    (["dataset.validation_fraction=0.25", "dataset.validation_fold=3"],
     "`dataset.validation_fold` must be <= 2 with a test part of 0.25 and validation parts of 0.25, got 3."),
    (["adapter=full", "hardware.quantization=nf4"], "`hardware.quantization` nf4 cannot be trained in full."),
    (["model.trust_remote_code=true"], "`model.trust_remote_code` must be false"),
    (["model=tiny", "model.weights=pretrained"], "`model.path` must be a hub id or a folder"),
    (["model=tiny", "model.architecture.hidden_size=30"], "`model.architecture.hidden_size` must be a multiple of"),
    (["model=tiny", "model.architecture.num_key_value_heads=3"], "`model.architecture.num_attention_heads` must be a"),
    (["model=tiny", "trainer.max_length=4096"],
     "`trainer.max_length` must be <= 2048, the longest input of this model"),
    (["hardware=cpu", "hardware.dtype=float16"], "`hardware.dtype` float16 is for CUDA, got hardware.device=cpu."),
    (["hardware=cpu", "hardware.attention=flash_attention_2"], "`hardware.attention` flash_attention_2 is for CUDA"),
    (["adapter.rank=0"], "`adapter.rank` must be >= 1 with adapter=lora, got 0."),
    (["adapter.alpha=0"], "`adapter.alpha` must be >= 1 with adapter=lora, got 0."),
    (["adapter.target_modules=[]"], "`adapter.target_modules` must name layers with adapter=lora, got []."),
    (["evaluation.judge=localhost:8000", "evaluation.judge_model=m"],
     "`evaluation.judge` must be the base URL of an endpoint or local (a model on this machine), got 'localhost:80"),
    (["evaluation.judge=http://x/v1"], "`evaluation.judge` needs a model, got null."),
    (["evaluation.judge='http://x/v1?key=1'", "evaluation.judge_model=m"], "`evaluation.judge` must hold no query"),
    (["evaluation.judge=http://me:secret@x/v1", "evaluation.judge_model=m"],
     "`evaluation.judge` must not hold a secret"),
    (["evaluation.judge_model=m"], "`evaluation.judge_model` is 'm', and `evaluation.judge` is null."),
    (["evaluation.judge_price_in=1.5"], "`evaluation.judge_price_in` and `evaluation.judge_price_out` go together"),
    (["evaluation.metrics=[leak,pair_acuracy]"],
     "`evaluation.metrics`: 'pair_acuracy' is no metric. Did you mean `pair_accuracy`? Metrics: pair_accuracy_bal"),
    (["tracking.tags=[ok,%s]" % ("x" * 79)], "`tracking.tags`: W&B takes tags of 1 to 64 letters, got one of 79: 'xxx"),
    (["tracking.tags=['']"], "`tracking.tags`: W&B takes tags of 1 to 64 letters, got one of 0"),
    (["tracking.project=a/b"], "`tracking.project` must have 1 to 128 letters and none of / "),
    (["data_root=nowhere"], "`data_root` must be a folder, and 'nowhere' is none."),
    (["dataset.contrast_kinds=[numbers]"], "`dataset.contrast_kinds=['numbers']` needs dataset.contrast_per_prompt"),
    (["dataset.contrast_kinds=[]"], "`dataset.contrast_kinds` must name at least one kind, got []."),
    (["outputs_root=a_file"], "`outputs_root=a_file` must be a folder, and a_file is no folder."),
    (["trainer.learning_rate=???"], "`trainer.learning_rate` has no value."),
    (["run_name=${oc.env:EDU_ALIGN_NOT_SET}"], "`run_name` cannot be resolved from '${oc.env:EDU_ALIGN_NOT_SET}'"),
    (["dataset.sources=[${nosuch}]"], "`dataset.sources` cannot be resolved from \"['${nosuch}']\": Interpolation key"),
    (["+dataset.columns.a=${trainer.beta}"], "`dataset.columns` cannot be resolved from \"{'a': '${trainer.beta}'}\""),
    (["++trainer.args.optim=${nosuch.key}"], "`trainer.args` cannot be resolved from \"{'optim': '${nosuch.key}'}\""),
    (["trainer.learning_rate=nan"], "`trainer.learning_rate` must be > 0, got nan."),
    (["trainer=grpo", "trainer.rewards={leak_answer: -1}"],
     "`trainer.rewards`: 'leak_answer' is no reward. Did you mean `leaks_answer`? Rewards: leaks_answer | asks_"),
    (["trainer=grpo", "trainer.rewards={asks_question: 0}"], "`trainer.rewards={'asks_question': 0.0}` weighs"),
    (["trainer=grpo", "trainer.rewards={asks_question: nan}"],
     "`trainer.rewards`: the weight of asks_question must be a number, got nan."),
    (["trainer=grpo", "trainer.batch_size=12"],
     "`trainer.batch_size` counts replies, and must be a multiple of `trainer.num_generations` (8), got 12. Set "
     "trainer.batch_size=8."),
    (["trainer=grpo", "trainer.max_completion_length=1020"],
     "`trainer.max_completion_length` must leave 8 tokens of `trainer.max_length` (1024) to the dialogue, got 1020."),
    (["trainer=grpo", "trainer.num_generations=1"], "`trainer.num_generations` must be >= 2, got 1."),
    (["trainer=grpo", "trainer.loss_type=sigmoid"], "`trainer.loss_type` must be one of grpo | dr_grpo | dapo, got"),
    (["trainer=dpo", "trainer.loss_type=grpo"], "`trainer.loss_type` must be one of sigmoid | hinge | ipo |"),
    (["trainer=dpo", "trainer.beta=0"], "`trainer.beta` must be > 0, got 0.0."),
    (["trainer.epochs=inf"], "`trainer.epochs` must be > 0, got inf."),
]  # fmt: skip
SHARDED = [
    (1, [], "`hardware.sharding` fsdp spreads the weights over several processes, and this is one."),
    (2, ["adapter=full", "hardware.optimizer=adamw_8bit"], "`hardware.optimizer` must be one of adamw_torch | "),
    (2, ["adapter=full", "hardware=t4", "hardware.quantization=none", "hardware.optimizer=sgd"], "`hardware.dtype` "),
    (2, ["trainer=dpo", "adapter=full", "trainer.precompute_reference=false"], "`trainer.precompute_reference` must"),
]


@pytest.mark.parametrize(("processes", "overrides", "expected"), SHARDED, ids=[rule[2][:40] for rule in SHARDED])
def test_what_cannot_be_sharded(
    problems: Problems, monkeypatch: pytest.MonkeyPatch, processes: int, overrides: list[str], expected: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    (found,) = problems("hardware.sharding=fsdp", *overrides)
    assert found.startswith(expected)


@pytest.mark.parametrize(("overrides", "expected"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_rules_across_keys(
    problems: Problems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("", encoding="utf-8")
    (found,) = problems(*overrides)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "words",
    [
        "trainer.epochs=0 trainer.max_steps=5",
        "trainer.batch_size=2 hardware.per_device_batch_size=4",
        "trainer=dpo trainer.loss_type=exo_pair trainer.label_smoothing=0.001",
        "trainer.lr_scheduler=greedy hardware.optimizer=lion_8bit",
        "model=tiny hardware.quantization=nf4",
        "adapter=full init_from=a_run",
        "seed=0 trainer.weight_decay=0 evaluation.samples=0",
        "trainer=dpo dataset=mrbench_bridge",
        "trainer=grpo trainer.beta=0 dataset=mathdial +trainer.rewards.human_length=0.5",
        "evaluation.judge=http://localhost:8000/v1 evaluation.judge_model=m "
        "evaluation.judge_price_in=0 evaluation.judge_price_out=0",
        "hardware.sharding=fsdp hardware.optimizer=adamw_8bit",
        "hardware.sharding=fsdp adapter=full trainer=dpo",
        "hardware.sharding=none adapter=full hardware.optimizer=adamw_8bit",
    ],
)
def test_what_the_rules_allow(problems: Problems, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2" if "sharding" in words else "1")
    assert problems(*words.split()) == []


def test_rules_report_together_on_a_composed_config() -> None:
    from omegaconf import OmegaConf

    config = OmegaConf.create(OmegaConf.to_container(compose(["trainer=dpo"])))
    assert rule_problems(config) == []
    config.trainer.beta = -1.0
    config.trainer.loss_type = "sigmod"
    config.hardware.device = "gpu"
    wrong = ["trainer.beta", "trainer.loss_type", "hardware.device"]
    assert [text.split("`")[1] for text in rule_problems(config)] == wrong
    assert rule_problems(config, skip=set(wrong)) == []


def test_enumerations_are_read_from_transformers() -> None:
    assert "paged_adamw_8bit" in enumeration("training_args.py", "OptimizerNames")
    assert "cosine" in enumeration("trainer_utils.py", "SchedulerType")
    assert enumeration("training_args.py", "NoSuchClass") == ()


def test_infinity_satisfies_no_rule() -> None:
    assert not holds(float("inf"), "> 0")
    assert not holds(float("nan"), ">= 0")
    assert holds(0.0, ">= 0 and < 0.5")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (
            "trainer.reward_loss=ordinal trainer.margin_weight=1",
            "`trainer.margin_weight=1.0` is read by trainer.reward",
        ),
        ("trainer.reward_loss=regression dataset.sources=[mrbench,bridge]", "needs scores on one scale, and"),
        ("evaluation.samples_steps=2", "a reward model writes none. Set evaluation.samples_steps=null."),
    ],
)
def test_what_a_reward_model_does_not_read(problems: Problems, words: str, meant: str) -> None:
    (found,) = problems("trainer=reward", *words.split())
    assert meant in found


DOES_NOTHING = [
    ("trainer=sft trainer.lr_scheduler=constant trainer.warmup_ratio=0.2", "Set trainer.lr_scheduler=constant_with_"),
    ("trainer=grpo trainer.epsilon=0.3", "does nothing with trainer.num_iterations=1, where every ratio is 1. Set"),
    ("trainer=kto dataset.contrast_per_prompt=2", "makes pairs, and trainer=kto reads single replies."),
    ("trainer=reward trainer.reward_loss=regression dataset.contrast_per_prompt=1", "and trainer.reward_loss=regress"),
    ("trainer=dpo trainer.debias=product trainer.label_smoothing=0.1", "does nothing with trainer.loss_type=sigmoid."),
]


@pytest.mark.parametrize(("words", "expected"), DOES_NOTHING)
def test_a_key_that_nothing_reads_is_refused(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


@pytest.mark.parametrize(
    "words",
    [
        "trainer=sft trainer.lr_scheduler=constant",
        "trainer=sft trainer.lr_scheduler=constant trainer.warmup_ratio=0",
        "trainer=grpo trainer.epsilon=0.3 trainer.num_iterations=2",
        "trainer=reward dataset.training_margin=1 dataset.contrast_per_prompt=1",
    ],
)
def test_a_key_that_is_read_is_not(problems: Problems, words: str) -> None:
    assert problems(*words.split()) == []
