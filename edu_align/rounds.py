"""A tutor that learns from replies of its own: `python -m edu_align.rounds run=<run> rounds=3 scorer=rules`."""

import sys

from edu_align.utils.program import answers_help, program

HELP = """\
edu_align: python -m edu_align.rounds run=<run> [rounds=3] [scorer=rules] [key=value ...]

  run                   a finished run that writes: its folder, its name under outputs_root/runs, or its id. Each round
                        its newest tutor answers dialogues of its training part, the replies are scored, and DPO learns
                        the better ones, with the tutor of the round before as reference
  rounds                most rounds (3). More later: the same command with a larger number goes on
  scorer                rules | reward | judge | votes: who says which reply is better (rules)
  rounds.rewards        of rules: {asks_question: 1, leaks_answer: -1}, or other rewards and weights
  rounds.reward_run     of reward: a finished run of trainer=reward
  rounds.votes          of votes: the file that `chat --web` keeps people's votes in
  evaluation.judge      of judge: base URL of an OpenAI-compatible endpoint, with evaluation.judge_model
  rounds.prompts        dialogues a round (64), rounds.replies to each (4); rounds.pairs best_worst | all
  rounds.margin         least difference in score of a pair (0.5)
  rounds.validation     dialogues of the validation part that every tutor answers (64)
  rounds.patience       rounds in a row without a better validation after which they end (1)
  rounds.*              and temperature, max_new_tokens, seed (of the draws; the run's own)
  trainer               dpo | kto (dpo); trainer.* are its keys
  hardware, hardware.*  another preset than the run's (cpu, t4, ...), or keys of it
  data_root             where the data sets are, dataset.path where the run's own file is, if they moved
  outputs_root          where runs lie (outputs); what it leaves lies in outputs_root/rounds
  accept_changed        true reads a run's files as they are, where they are not what training left

Every stage is kept. The same command goes on where it was cut off, and a page shows what each round did.
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments):
        return
    from edu_align.config.arguments import parse
    from edu_align.iterating.plan import GROUPS, OWN, read_plan

    plan = read_plan(parse(arguments, OWN, groups=GROUPS))
    from edu_align.iterating.work import run_rounds

    run_rounds(plan)


if __name__ == "__main__":
    main()
