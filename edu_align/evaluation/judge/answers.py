"""The judge's answers: two a pair of replies, one in each order, each answer kept on disk under its question.

A verdict counts only where the order did not decide it.
"""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from edu_align.evaluation.judge.client import Answer, Endpoint, Stopped
from edu_align.evaluation.judge.local import written
from edu_align.evaluation.judge.rubric import FIRST, REMINDER, SECOND, TIE, Chat, Opinion, parse, points, question
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.evaluation.suite.subject import LoadedSubject
from edu_align.records import Message
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from edu_align.utils.hashing import sha256

CHARACTERS_A_TOKEN = 4  # of English prose, for the estimate before the first request
TOKENS_AN_ANSWER = 130  # of the object asked for
STEPS = 10  # lines of progress


@dataclass
class Tally:
    """Counts of a round of questions. Tokens are those of the server, answers from the cache included."""

    questions: int = 0
    requests: int = 0
    attempts: int = 0  # requests and the client's own retries
    cached: int = 0
    asked_again: int = 0  # malformed at first
    malformed: int = 0  # and again: no opinion
    tokens_in: int = 0
    tokens_out: int = 0

    def line(self, settings: JudgeSettings) -> str:
        """One sentence for the reader."""
        return (
            f"judge {settings.model}: {self.questions} questions, {self.requests} requests sent "
            f"({self.attempts - self.requests} retries), {self.cached} answers from the cache; {self.asked_again} "
            f"malformed answers were asked for again, {self.malformed} stayed malformed and are left out. Tokens: "
            f"{self.tokens_in} in, {self.tokens_out} out{settings.cost(self.tokens_in, self.tokens_out)}."
        )


def opinions(settings: JudgeSettings, chats: Sequence[Chat]) -> tuple[list[Opinion | None], Tally]:
    """The judge's opinion on each chat, None for one that stayed malformed, and the tally.

    An answer is on disk before the next question is asked: stopped or failed, the same call goes on from there. Raises
    UserError where a question gets no answer.
    """
    if settings.local is not None:
        return _opinions_together(settings, settings.local, chats)
    endpoint, tally, lock = Endpoint(settings), Tally(questions=len(chats)), threading.Lock()
    _announce(settings, chats)

    def one(chat: Chat) -> Opinion | None:
        answer = _answer(endpoint, chat, tally, lock)
        opinion = parse(answer.text)
        if opinion is None:
            opinion = parse(_answer(endpoint, _reminded(chat, answer.text), tally, lock).text)
            with lock:
                tally.asked_again += 1
                tally.malformed += opinion is None
        return opinion

    with ThreadPoolExecutor(settings.concurrency) as pool:
        futures = [pool.submit(one, chat) for chat in chats]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if done * STEPS // len(chats) > (done - 1) * STEPS // len(chats):
                    print(f"edu_align: judge: {done} of {len(chats)}", flush=True)
        except BaseException as error:
            endpoint.stop()
            pool.shutdown(cancel_futures=True)
            if endpoint.failure is None or not isinstance(error, UserError | Stopped):
                raise
            kept = f"{sum(_place(settings, chat).is_file() for chat in chats)} of {len(chats)} answers are kept"
            raise UserError(f"{endpoint.failure} {kept}; the same command goes on.") from None
    tally.attempts = endpoint.attempts
    return [future.result() for future in futures], tally


def _opinions_together(
    settings: JudgeSettings, model: LoadedSubject, chats: Sequence[Chat]
) -> tuple[list[Opinion | None], Tally]:
    """The same of a model on this machine, which answers all chats in one queue."""
    first = written(model, chats, settings.max_tokens)
    found = [parse(text) for text, *_ in first]
    malformed = [i for i, opinion in enumerate(found) if opinion is None]
    second = written(model, [_reminded(chats[i], first[i][0]) for i in malformed], settings.max_tokens)
    model.release()  # the suite's models come next
    for i, (text, *_) in zip(malformed, second, strict=True):
        found[i] = parse(text)
    asked = len(first) + len(second)
    tally = Tally(
        questions=len(chats),
        requests=asked,
        attempts=asked,
        asked_again=len(malformed),
        malformed=found.count(None),
        tokens_in=sum(read for _, read, _ in (*first, *second)),
        tokens_out=sum(wrote for _, _, wrote in (*first, *second)),
    )
    return found, tally


def _reminded(chat: Chat, answer: str) -> Chat:
    """The chat with which a malformed answer is asked for again."""
    return [*chat, {"role": "assistant", "content": answer}, {"role": "user", "content": REMINDER}]


def _announce(settings: JudgeSettings, chats: Sequence[Chat]) -> None:
    """Print how much is about to be sent, and what it costs at the user's prices."""
    new = [chat for chat in chats if not _place(settings, chat).is_file()]
    tokens_in = sum(len(turn["content"]) for chat in new for turn in chat) // CHARACTERS_A_TOKEN
    tokens_out = len(new) * TOKENS_AN_ANSWER
    print(
        f"edu_align: judge {settings.model} at {settings.endpoint}: {len(chats)} questions, {len(new)} of them new; "
        f"about {tokens_in} tokens in and {tokens_out} out{settings.cost(tokens_in, tokens_out)}",
        flush=True,
    )


def _answer(endpoint: Endpoint, chat: Chat, tally: Tally, lock: threading.Lock) -> Answer:
    place = _place(endpoint.settings, chat)
    found = _kept(place)
    answer = found or endpoint.ask(chat)
    if found is None:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, asdict(answer), indent=None)
    with lock:
        tally.cached += found is not None
        tally.requests += found is None
        tally.tokens_in += answer.tokens_in
        tally.tokens_out += answer.tokens_out
    return answer


def _place(settings: JudgeSettings, chat: Chat) -> Path:
    """The file of an answer: named by the endpoint, the model, the settings and every word that was asked."""
    what = json.dumps([settings.endpoint, settings.model, settings.max_tokens, chat], ensure_ascii=False)
    name = sha256(what)
    return settings.cache / name[:2] / f"{name}.json"


def _kept(place: Path) -> Answer | None:
    try:
        return Answer(**json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or not whole: it is asked for again
        return None


LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Contest:
    """A dialogue with two replies to it. `item` names it, `group` is the cluster that is resampled."""

    item: str
    group: str
    turns: tuple[Message, ...]
    gold: str
    left: str
    right: str


@dataclass(frozen=True)
class Verdict:
    """The judge's opinions on a contest: `shown_left` with the left reply first, `shown_right` with the right one."""

    contest: Contest
    shown_left: Opinion
    shown_right: Opinion

    @property
    def winners(self) -> tuple[str, str]:
        """left | right | tie, in the order of the two questions."""
        return (
            {FIRST: LEFT, SECOND: RIGHT}.get(self.shown_left.better, TIE),
            {FIRST: RIGHT, SECOND: LEFT}.get(self.shown_right.better, TIE),
        )

    @property
    def winner(self) -> str:
        """left | right | tie; a tie where the two orders disagree."""
        first, second = self.winners
        return first if first == second else TIE

    def labels(self, side: str, dimension: str) -> tuple[str, str]:
        """The reply's label in both orders."""
        if side == LEFT:
            return self.shown_left.first[dimension], self.shown_right.second[dimension]
        return self.shown_left.second[dimension], self.shown_right.first[dimension]

    def points(self, side: str, dimension: str) -> float:
        """The mean of both labels, as numbers."""
        return sum(points(dimension, label) for label in self.labels(side, dimension)) / 2


def verdicts(settings: JudgeSettings, contests: Sequence[Contest]) -> tuple[list[Verdict], Tally]:
    """Verdicts of the contests that got two well-formed answers, in their order, and the tally."""
    chats = []
    for one in contests:
        chats.append(question(one.turns, one.gold, one.left, one.right))
        chats.append(question(one.turns, one.gold, one.right, one.left))
    found, tally = opinions(settings, chats)
    both = zip(contests, found[::2], found[1::2], strict=True)
    return [Verdict(one, a, b) for one, a, b in both if a is not None and b is not None], tally


def order_notes(judged: Sequence[Verdict]) -> list[str]:
    """How often the order decided, and whether the first place was liked better."""
    if not judged:
        return []
    differ = sum(verdict.winners[0] != verdict.winners[1] for verdict in judged)
    preferred = [opinion.better for verdict in judged for opinion in (verdict.shown_left, verdict.shown_right)]
    decided = len(preferred) - preferred.count(TIE)
    first = f"{preferred.count(FIRST) / decided:.2f} of {decided}" if decided else "none"
    return [
        f"The judge contradicted itself when the replies changed places in {differ} of {len(judged)} pairs "
        f"({differ / len(judged):.2f}), which count as ties. Of its decisions, {first} went to the reply shown first."
    ]
