"""A bound on what the page's server reads, before anything of it lies in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

MAX_BODY = 256 * 1024  # bytes of one request; a message has at most 4,000 characters
CLOSED = "/upload"  # the page takes no files

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class BodyLimit:
    """ASGI middleware: refuses request bodies above `most` bytes or of untold length, and uploads."""

    def __init__(self, app: App, most: int = MAX_BODY) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status = self._refusal(scope) if scope["type"] == "http" else None
        if status is None:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: dict[str, Any]) -> int | None:
        """The status of a request that is refused: 403 upload, 411 no length, 413 too long."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        if scope["path"].rstrip("/").endswith(CLOSED):
            return 403
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"transfer-encoding" in headers or not length.isdigit():
            return 411
        return 413 if int(length) > self.most else None
