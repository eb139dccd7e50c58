"""What a step minimises, and what is logged of it, does not depend on how the step is cut into forward passes."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.config.batch import token_budget
from edu_align.config.rules import problems
from edu_align.utils.errors import UserError
from tests.training.objectives import Drawn, Training, compared, draw, in_float64

IN_FLOAT32, IN_FLOAT64 = 1e-6, 1e-12  # relative to the size of the update
MANY = 300


@pytest.fixture(scope="module")
def training(
    tiny: Any, random_model: Callable[..., Any], bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    return Training(tiny, random_model, bytes_tokenizer, tmp_path_factory.mktemp("objective"))


@pytest.mark.cases("D9")
@pytest.mark.parametrize("packing", ["on", pytest.param("off", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("trainer", "values"),
    [
        ("dpo", {"trainer.sft_weight": 1.0}),
        ("dpo", {"trainer.loss_type": "ipo", "trainer.sft_weight": 0.3, "trainer.args": {"ld_alpha": 0.5}}),
        ("sft", {}),
    ],
)
def test_one_pass_of_sixteen_is_sixteen_of_one(
    training: Training, trainer: str, values: dict[str, Any], packing: str
) -> None:
    """21 rows: the last step has five."""
    drawn = Drawn(
        trainer, {"hardware.packing": packing, "trainer.epochs": 2, "trainer.max_length": 32, **values}, 21, 16
    )
    assert compared(training, drawn, 1, 1e-4) < IN_FLOAT32


@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_experts_are_not_balanced_over_a_pass(
    training: Training, trainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixtral's config asks for it."""
    from transformers import MixtralConfig, MixtralForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    experts = MixtralConfig(vocab_size=264, num_hidden_layers=2, num_local_experts=4, router_aux_loss_coef=0.5, **shape)
    monkeypatch.setattr(training, "model", MixtralForCausalLM(experts))
    drawn = Drawn(trainer, {"hardware.packing": "off", "trainer.max_length": 32}, 9, 4)
    assert compared(training, drawn, 1, 1e-4) < IN_FLOAT32


@pytest.mark.cases("D9")
@pytest.mark.parametrize("loss", ["aot", pytest.param("aot_unpaired", marks=pytest.mark.slow)])
def test_a_loss_that_compares_the_pairs_of_a_step_is_not_cut(training: Training, loss: str, tiny: Any) -> None:
    drawn = Drawn("dpo", {"trainer.loss_type": loss, "trainer.max_length": 32, "trainer.epochs": 2}, 21, 16)
    on, off = ({**drawn.values, "hardware.packing": packing} for packing in ("on", "off"))
    packed, padded = (training.of(Drawn("dpo", values, 21, 16), 16) for values in (on, off))
    assert packed.update.allclose(padded.update, rtol=1e-3, atol=1e-5)
    with pytest.raises(UserError, match=r"per_device_batch_size=16 or trainer\.batch_size=1\.") as caught:
        training.of(drawn, 1)
    assert caught.value.exit_code == 2
    one_pass = training.config(drawn, 16)
    assert token_budget(one_pass) == 16 * 2 * 32, "no step of pairs has more tokens"


@pytest.mark.cases("D9")
def test_what_no_process_has_whole_is_refused(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("trainer=dpo", "trainer.loss_type=aot")
    assert not problems(config)
    monkeypatch.setenv("WORLD_SIZE", "2")
    (problem,) = problems(config)
    assert "2 processes would share them" in problem


@pytest.mark.cases("D9")
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("+trainer.args.dataloader_drop_last=true", "the same on every device"),
        ("+trainer.args.router_aux_loss_coef=0.01", "experts of one forward pass"),
        ("+trainer.args.use_weighting=true trainer.sft_weight=1", "does not go with an SFT term"),
        ("+trainer.args.use_weighting=true trainer.loss_type=hinge", "does nothing with trainer.loss_type=hinge"),
        ("+trainer.args.f_divergence_type=forward_kl trainer.loss_type=bco_pair", "with trainer.loss_type=bco_pair"),
    ],
)
def test_what_trl_finds_out_late_is_refused_early(tiny: Any, word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny("trainer=dpo", *word.split())


@pytest.mark.parametrize("number", range(2))
def test_drawn_configurations(training: Training, number: int) -> None:
    with in_float64(training):
        outcome(training, number)


@pytest.mark.slow
def test_many_drawn_configurations(training: Training) -> None:
    """Prints the differences of the updates, and what was refused, by reason.

    In float64 they are rounding, 1e-15. In float32 a loss of differences between large log-probabilities (sppo_hard,
    discopop) is known to some 1e-6, and so is its gradient, however a step is cut.
    """
    refused: Counter[str] = Counter()
    found: dict[str, list[float]] = {"float64": [], "float32": []}
    for number in range(8, 8 + MANY):
        with in_float64(training):
            wide = outcome(training, number)
        if isinstance(wide, str):
            refused[wide] += 1
            continue
        found["float64"].append(wide)
        found["float32"].append(outcome(training, number, 1e-2, 1e-5))
    for name, differences in found.items():
        differences.sort()
        middle, within = differences[len(differences) // 2], sum(each <= IN_FLOAT32 for each in differences)
        print(f"{name}: {len(differences)} compared, median {middle:.1e}, largest {differences[-1]:.1e}, ", end="")
        print(f"{within} within {IN_FLOAT32:.0e}")
    print(f"refused: {sum(refused.values())} of {MANY}")
    for reason, many in refused.most_common():
        print(f"{many:5d} {reason}")
    assert len(found["float64"]) >= MANY / 2


def outcome(training: Training, number: int, logged: float = 1e-6, most: float = IN_FLOAT64) -> Any:
    """How far two cuts of a drawn configuration are apart, or the key for which it is refused."""
    drawn, device_batch = draw(number)
    try:
        found = compared(training, drawn, device_batch, logged)
    except UserError as error:
        return str(error).split("`")[1].split("=")[0]
    assert found < most, (drawn, device_batch)
    return found
