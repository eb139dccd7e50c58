"""What `edu_align.rounds` is asked for: the run that it starts from, how a round is trained, and where it all lies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from edu_align.config.arguments import Words
from edu_align.config.compose import compose, in_one_message
from edu_align.config.rules import problems
from edu_align.config.schema import (
    REFERENCE_FREE_LOSSES,
    Config,
    DatasetConfig,
    RoundsConfig,
    TrainerConfig,
)
from edu_align.models.content import base_content, trained_content
from edu_align.models.locate import Location, locate
from edu_align.runs.finished import check_base, require_writer, run_config
from edu_align.runs.folder import RunFolder
from edu_align.runs.identity import DIGITS, settings_of
from edu_align.training.run import check_settings
from edu_align.utils import distributed as processes
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import digest, records_in

OWN = ("rounds", "scorer", "trainer", "data_root", "dataset.path", "outputs_root", "accept_changed")
GROUPS = ("rounds", "trainer", "hardware", "evaluation")
SHORT = {"rounds": "rounds.number", "scorer": "rounds.scorer"}  # own keys that are keys of the config
TRAINERS = ("dpo", "kto")
COLUMNS = ("id", "group", "split")  # of a row of pairs, which `dataset=local` reads where they are named
ROUNDS = "rounds"  # folder under outputs_root
NOT_IN_ID = ("number", "patience", "reward_run")  # how long it goes on, and what its weights' content stands for
LONGEST_NAME = 60  # letters of the start's name in the folder's


@dataclass(frozen=True)
class Plan:
    """`run`: the tutor of round 0. `config`: its own, with what was asked for on top. `training`: the config of a
    round's run, but for its pairs, its start and its name.
    """

    run: RunFolder
    config: Config
    training: Config
    location: Location

    @property
    def asked(self) -> RoundsConfig:
        return self.config.rounds

    @property
    def seed(self) -> int:
        """Of every draw."""
        return self.config.seed if self.asked.seed is None else self.asked.seed

    def id(self, data: str, scorer: Any) -> str:
        """Over all that decides what comes out: `data` is the dialogues' fingerprint, `scorer` what scores them is."""
        asked = {key: value for key, value in asdict(self.asked).items() if key not in NOT_IN_ID}
        start = self.run.record.get("id"), trained_content(self.run.weights, records_in(self.config.outputs_root))
        base = base_content(self.location.identity)
        return digest(asked, settings_of(asdict(self.training)), start, base, data, scorer)[:DIGITS]

    def folder(self, id: str) -> Path:
        """Where its files lie: outputs_root/rounds/<scorer>-<start>-<id>."""
        name = f"{self.asked.scorer}-{self.run.path.resolve().name[:LONGEST_NAME]}-{id}"
        return Path(self.config.outputs_root) / ROUNDS / name


def read_plan(words: Words) -> Plan:
    """The plan of a command line.

    Errors, before anything heavy is imported: no run, one that writes nothing, keys that do not go together, a base
    model that is not the run's.
    """
    if not words.runs:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>."
        )
    if processes.count() > 1:
        raise UserError("`edu_align.rounds` runs in one process. Start it without torchrun and accelerate launch.")
    typed = {SHORT.get(key, key): value for key, value in words.own.items() if key not in ("trainer", "accept_changed")}
    root, accept = typed.pop("outputs_root", None), words.switch("accept_changed")
    trained = {key: value for key, value in words.overrides.items() if key.startswith("trainer.")}
    overrides = {key: value for key, value in words.overrides.items() if key not in trained}
    run, config = run_config(words.runs[0], overrides | typed, root, accept, reads_data=True)
    config.accept_changed = accept
    require_writer(run, "learn from replies of its own")
    if (votes := config.rounds.votes) and not Path(votes).is_file():
        raise UserError(f"`rounds.votes={votes}` is no file. Give the one that `chat --web` keeps people's votes in.")
    training = _training(config, _trainer(words.own.get("trainer", TRAINERS[0]), trained))
    location = locate(config.model, Path(config.outputs_root), config.seed)
    check_base(f"run={words.runs[0]}", run, location)
    return Plan(run, config, training, location)


def _trainer(name: str, typed: Mapping[str, str]) -> TrainerConfig:
    """The keys of `trainer` of every round. Errors: no trainer of pairs or labels, a loss without a reference."""
    if name not in TRAINERS:
        raise UserError(f"`trainer={name}`: a round learns which replies are better by dpo or kto. Set trainer=dpo.")
    words = [f"trainer={name}", *(f"{key}={value}" for key, value in typed.items()), "data_root=null", "tracking=off"]
    composed: Any = OmegaConf.to_object(compose(words))
    trainer: TrainerConfig = composed.trainer
    loss = getattr(trainer, "loss_type", "")
    if loss in REFERENCE_FREE_LOSSES:
        raise UserError(
            f"`trainer.loss_type={loss}` reads no reference model, and each round is held to the tutor of the round "
            "before. Choose another loss, such as trainer.loss_type=sigmoid."
        )
    return trainer


def _training(config: Config, trainer: TrainerConfig) -> Config:
    """The config of a round's run. Errors: it cannot be trained on this hardware."""
    asked, source = config.rounds, config.dataset
    dataset = DatasetConfig(
        name="local", sources=["local"], format="labels" if trainer.reads == "labels" else "responses",
        columns={name: name for name in COLUMNS}, margin=asked.margin, system_prompt=source.system_prompt,
    )  # fmt: skip
    quiet = replace(config.evaluation, enabled=False, judge=None, judge_model=None)  # rounds measure for themselves
    training = replace(
        config, trainer=trainer, dataset=dataset, evaluation=quiet, rounds=RoundsConfig(), init_from=None,
        run_name=None, force=False, preview=0, chain=[], objective=None, data_root=None,
    )  # fmt: skip
    found = problems(OmegaConf.structured(training), {"dataset.path", "dataset.sources"})
    room = trainer.max_length - asked.max_new_tokens
    if room < trainer.max_length // 4:
        found.append(
            f"`rounds.max_new_tokens={asked.max_new_tokens}` leaves {room} of `trainer.max_length="
            f"{trainer.max_length}` tokens to the dialogue. Set rounds.max_new_tokens={trainer.max_length // 2}."
        )
    if len(found) > 1:
        raise UserError(in_one_message(found, "problem", "in the config"))
    if found:
        raise UserError(found[0])
    check_settings(training)
    return training


def training_config(plan: Plan, pairs: Path, start: Path, name: str) -> Any:
    """The config of a round's run, which learns `pairs` and starts from the run in `start`."""
    dataset = replace(plan.training.dataset, path=str(pairs))
    config = replace(plan.training, dataset=dataset, init_from=str(start), run_name=name)
    composed = OmegaConf.structured(config)
    OmegaConf.set_readonly(composed, True)
    return composed
