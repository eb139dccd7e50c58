"""Names of numbers and units in a newcomer's words; the name in code stays beside them on every page."""

from collections.abc import Mapping
from typing import Any

WORDS = {
    "pair_accuracy": "Pairs ordered as people did",
    "pair_accuracy_implicit": "Share of pairs that training moved the right way",
    "pair_accuracy_mean_logp": "Share of pairs whose better reply the model finds likelier",
    "pair_accuracy_reward": "Share of pairs whose better reply has the higher reward",
    "pair_accuracy_hard": "Hard pairs ordered as people did",
    "pair_accuracy_own": "Pairs ordered as your file says",
    "pair_accuracy_balanced": "Pairs ordered as people did, no author favoured",
    "pair_accuracy_bridge": "Expert reply before the novice's",
    "selection_score": "Score of the reply that the model would pick",
    "dialogue_effect": "How much of the order needs the dialogue",
    "context_use": "Own dialogue's reply found among others",
    "leak_rate": "Replies that give the answer away",
    "guidance_rate": "Replies that guide",
    "question_rate": "Replies with a question",
    "words": "Words a reply",
    "repetition": "Repeated phrases",
    "empty": "Empty replies",
    "role_prefix": "Replies with a speaker's label",
    "unfinished": "Replies cut off",
    "human_turn_nll": "Surprise at the tutors' own turns",
    "nats_per_token": "Surprise at human turns, a word piece",
    "nats_per_byte": "Surprise at human turns, a byte",
    "arithmetic_correct": "Correct sums",
    "mistake_found": "Replies that name the mistake",
    "mistake_located": "Replies that say where the mistake is",
    "answer_leaked": "Replies that give the answer away",
    "student_found": "Students who find it themselves",
    "student_right": "Students whose work becomes right",
    "student_told": "Students who are told the answer",
    "student_turns": "The tutor's turns with a student",
    "student_played_found": "Played students who find it themselves",
    "student_played_right": "Played students whose work becomes right",
    "student_played_told": "Played students who are told the answer",
    "student_played_turns": "The tutor's turns with a played student",
    "diagnosis": "Feedback that fits the step before feedback on another one",
    "leaves_right_alone": "Verdicts that fit the pupil's answer",
    "leak_check": "Leaks that the rule finds where they are known",
    "mistake_step": "First wrong step pointed at",
    "solution_correctness": "Solutions judged as they are",
    "mistake_correction": "Wrong solutions put right",
    "grader_agreement": "Labels of people that the grader repeats",
    "graded": "Points that the grader gives the replies",
    "socratic_bleu": "Words shared with the data's own questions",
    "reward_wins": "Replies that the reward model likes better than people's",
    "loss": "Loss",
    "rewards/margins": "Reward margin",
    "rewards/accuracies": "Pairs with a positive reward margin",
}
SCORERS = {
    "mean_logp": "by likelihood a word piece",
    "logp": "by likelihood of the whole reply",
    "implicit": "by what training changed",
    "implicit_from_base": "by what changed since the base",
}
PLACES = {"eval": "held-out examples", "train": "training", "before": "before training", "base": "base model"}
UNITS = {"nats/token": "nats a word piece", "nats/byte": "nats a byte"}


def in_words(name: str) -> str:
    """`Pairs ordered as people did, by likelihood a word piece` for pair_accuracy/mean_logp."""
    if name in WORDS:
        return WORDS[name]
    head, _, rest = name.partition("/")
    if head in PLACES:
        return f"{in_words(rest)}, {PLACES[head]}"
    for scorer in sorted(SCORERS, key=len, reverse=True):
        for sign in "/_":
            if name.endswith(f"{sign}{scorer}"):
                return f"{in_words(name.removesuffix(f'{sign}{scorer}'))}, {SCORERS[scorer]}"
    stem = max((known for known in WORDS if head == known or head.startswith(f"{known}_")), key=len, default="")
    more = [part for part in (head.removeprefix(stem).strip("_"), rest) if part]
    text = ", ".join([WORDS[stem], *more]) if stem else ", ".join(more)
    return text.replace("_", " ")


def unit_in_words(unit: str) -> str:
    return UNITS.get(unit, unit)


def choice_in_words(record: Mapping[str, Any]) -> str:
    """Which step's weights a run kept and why, from its run.json; "" of a run that had no choice."""
    choice = record.get("choice") or {}
    if not {"metric", "kept_step", "validations"} <= choice.keys():
        return ""
    metric, step, value = choice["metric"], choice.get("step"), choice.get("value")
    found = f"{metric} was best at step {step} ({value:.4g})" if value is not None else f"{metric} was never a number"
    stopped = choice.get("stopped")
    ended = f"; trainer.patience ended it at step {stopped}" if stopped is not None else ""
    return f"kept are the weights of step {choice['kept_step']}: of {choice['validations']} validations {found}{ended}"
