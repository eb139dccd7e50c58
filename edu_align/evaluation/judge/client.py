"""One request to an OpenAI-compatible endpoint, through the `openai` package.

Its client retries time-outs, 408, 409, 429 and 5xx with exponential backoff and jitter, or when Retry-After says; what
is added here is the limit a minute, which counts retries too, the stop, and errors that say what to do.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from edu_align.evaluation.judge.rubric import Chat
from edu_align.evaluation.judge.settings import KEY_VARIABLE, JudgeSettings
from edu_align.utils.errors import UserError
from edu_align.utils.secrets import HIDDEN

_NO_KEY = "none"  # what is sent where no key is set: servers on one's own machine ask for none


class Stopped(BaseException):
    """Raised inside a request once the others were given up; not an Exception, which would be retried."""


@dataclass(frozen=True)
class Answer:
    """One answer; token counts are the server's own, 0 where it gives none."""

    text: str
    tokens_in: int
    tokens_out: int


class Endpoint:
    """Thread-safe. Raises UserError where the package is missing."""

    def __init__(self, settings: JudgeSettings) -> None:
        try:
            import openai
        except ImportError:
            raise UserError(
                "`evaluation.judge` needs the package openai, which is not installed. "
                'Run: pip install "edu_align[judge]".'
            ) from None
        self.settings = settings
        self.attempts = 0
        self.failure: UserError | None = None  # the first; every other request stops with it
        self._key = os.environ.get(KEY_VARIABLE) or _NO_KEY
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0.0
        self._options: dict[str, Any] = {"temperature": 0.0, "max_tokens": settings.max_tokens}
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=settings.endpoint,
            timeout=settings.timeout,
            max_retries=settings.retries,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._before_each]}),
        )

    def stop(self) -> None:
        """Let no further request begin, in any thread."""
        self._stop.set()

    def ask(self, chat: Chat) -> Answer:
        """The answer to a chat. Raises UserError for one that does not come, whatever was tried."""
        import openai

        while True:
            options = self._options
            try:
                reply = self._client.chat.completions.create(
                    model=self.settings.model,
                    messages=chat,  # type: ignore[arg-type]
                    **options,
                )
            except ValueError:  # a body that claims to be JSON and is not
                return Answer("", 0, 0)
            except openai.BadRequestError as error:
                if not self._adapt(options, str(error)):
                    raise self._fail(error) from None
            except openai.OpenAIError as error:
                raise self._fail(error) from None
            else:
                return self._read(reply)

    def _read(self, reply: Any) -> Answer:
        choices = getattr(reply, "choices", None)
        content = choices[0].message.content if choices else None
        usage = getattr(reply, "usage", None)
        counts = (getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0)
        return Answer(self._hidden(content or ""), *counts)

    def _before_each(self, _request: Any) -> None:
        """Wait for the next free moment of the limit."""
        with self._lock:
            self.attempts += 1
            now = time.monotonic()
            wait = max(0.0, self._next - now)
            self._next = max(now, self._next) + 60.0 / self.settings.per_minute
        if self._stop.wait(wait) if wait else self._stop.is_set():
            raise Stopped

    def _adapt(self, tried: dict[str, Any], message: str) -> bool:
        """Whether there is another way to ask: reasoning models refuse `temperature` and rename `max_tokens`."""
        options = dict(tried)
        if "max_tokens" in message and "max_tokens" in options:
            options["max_completion_tokens"] = options.pop("max_tokens")
        elif "temperature" in message and "temperature" in options:
            del options["temperature"]
        else:
            return False
        self._options = options
        return True

    def _fail(self, error: Exception) -> UserError:
        status = getattr(error, "status_code", None)
        text = self._hidden(" ".join(str(error).split()))[:300]
        fix = {
            401: f"Set the environment variable {KEY_VARIABLE} to a key of this endpoint.",
            403: f"Use a key ({KEY_VARIABLE}) that may use evaluation.judge_model={self.settings.model}.",
            404: "Check evaluation.judge (it usually ends with /v1) and evaluation.judge_model.",
            429: "Lower evaluation.judge_requests_per_minute.",
        }.get(status or 0, "Check that it runs, raise evaluation.judge_timeout, or try again later.")
        failure = UserError(f"`evaluation.judge` {self.settings.endpoint} gave no answer: {text.rstrip('.')}. {fix}")
        self.failure = self.failure or failure
        self.stop()
        return failure

    def _hidden(self, text: str) -> str:
        return text if self._key == _NO_KEY else text.replace(self._key, HIDDEN)
