"""Take a tutor with you: `python -m edu_align.export run=<run>`; `export.gguf=q8_0` makes a file for Ollama too."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edu_align.utils.errors import UserError
from edu_align.utils.program import answers_help, program

if TYPE_CHECKING:
    from edu_align.config.schema import Config

OWN = ("output", "outputs_root", "accept_changed")
GROUPS = ("export", "generation")
HELP = """\
edu_align: python -m edu_align.export run=<run> [output=<folder>] [key=value ...]

  run                   a finished run: its folder, its name under outputs_root/runs, or its id
  output                the folder that is made (<run>/export): merged safetensors, tokenizer with the chat template,
                        generation config, model card. transformers, vLLM and `transformers serve` load it as it is
  export.gguf           f32 | f16 | bf16 | q8_0 | q5_1 | q5_0 | q4_1 | q4_0: also <output>/gguf/ with a GGUF and a
                        Modelfile for Ollama; q4_k_m and others are rounded by llama.cpp's llama-quantize
  export.quantizer      where llama-quantize lies
  export.converter      llama.cpp's convert_hf_to_gguf.py, for models other than llama, mistral, qwen2 and qwen3
  export.dtype          auto | float32 | bfloat16 | float16: of the merged weights; auto is the base's own
  export.push_to_hub    owner/name: upload the folder there, into a private repository
  export.private        false makes that repository public
  export.license        licence on the model card; the base model's unless given
  export.overwrite      true replaces an export with other settings, or one whose files were changed
  generation.*          temperature, top_p, top_k, ...: what the generation config and the Modelfile say
  dataset.system_prompt put another system prompt into the Modelfile
  model.path            where the run's base model lies now, if it moved
  outputs_root          where runs lie (outputs)
  accept_changed        true takes the files of a run or an export as they are, where they are not what was left

  --cfg job             print the settings that this would use, and stop

What is written is loaded back and compared with base and adapter; what does not agree is not kept.
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments):
        return
    from edu_align.config.arguments import parse
    from edu_align.exporting.subject import read_run

    shown, arguments = _without_cfg(arguments)
    words = parse(arguments, OWN, groups=GROUPS)
    run, config = read_run(words)
    if shown:
        _show(config)
        return
    from edu_align.exporting.hub import find_hub
    from edu_align.exporting.subject import find_weights
    from edu_align.exporting.write import check_output, is_exported
    from edu_align.utils.hashing import records_in

    if not config.trainer.writes:
        from edu_align.exporting.reward import refuse_gguf

        refuse_gguf(run, config.export.gguf)
    output = Path(words.own.get("output") or run.path / "export").expanduser()
    check_output(output)
    hub = find_hub(config.export)
    subject = find_weights(run, config)
    records, accept = records_in(config.outputs_root), words.switch("accept_changed")
    if is_exported(output, subject.settings(), config.export.overwrite, records, accept):
        print(f"edu_align: {output} holds this export already", flush=True)
    elif not config.trainer.writes:
        from edu_align.exporting.reward import write_reward_export

        write_reward_export(subject, output)
    else:
        from edu_align.exporting.write import check_before, write_export

        check_before(subject)
        write_export(subject, output)
    if hub is not None:
        print(f"edu_align: uploading to {hub.repository}", flush=True)
        print(f"edu_align: {hub.upload(output, f'Export of {subject.label} by edu_align')}", flush=True)


def _without_cfg(arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether the config is to be shown, and the other arguments. Errors: Hydra's other things to show."""
    if "--cfg" not in arguments:
        return False, arguments
    at = arguments.index("--cfg")
    if arguments[at + 1 : at + 2] != ["job"]:
        raise UserError("`--cfg` shows the job here. Give --cfg job.")
    return True, arguments[:at] + arguments[at + 2 :]


def _show(config: "Config") -> None:
    """Print what an export depends on; what else the run was trained with lies in its config.yaml."""
    from omegaconf import OmegaConf

    every = OmegaConf.structured(config)
    shown = {key: every[key] for key in ("outputs_root", "seed", "model", "adapter", "generation", "export")}
    shown["dataset"] = {"system_prompt": config.dataset.system_prompt}
    print(OmegaConf.to_yaml(OmegaConf.create(shown)), end="")


if __name__ == "__main__":
    main()
