"""The pages of the admin port: health, metrics, what flows and to whom, as JSON and for people."""

import asyncio
import importlib.resources
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web
from multidict import MultiDict

from fproxy.core.report import (
    CLIENT_ORDERS,
    ClientReport,
    ClientsReport,
    StateReport,
    StreamReport,
    TopicReport,
    ordered_clients,
)
from fproxy.shell.admin_server import Handler, event_stream, text_response
from fproxy.shell.clock import unix_ms

SHOWN_CLIENTS: Final = 50
"""How many clients the state holds: as many as a person looks at."""

SHOWN_TOPICS: Final = 15
"""How many topics the state holds."""

MOST_LISTED: Final = 1_000
"""The most clients in one answer."""

MOST_TOPICS: Final = 200
"""The most topics in one answer."""

MAX_WATCHERS: Final = 16
"""How many may read ``/events`` at once."""

QUEUED_RECORDS: Final = 200
"""How many records wait for a reader of ``/events``; those beyond are left out, and it is told how many."""

STILL_THERE: Final = 15.0
"""How long ``/events`` may be silent, in seconds: then a comment shows that it is still there."""


class AdminSource(Protocol):
    """Where the pages get what they show: this process, or several processes together."""

    async def state(self, *, clients: int, topics: int) -> StateReport:
        """Return all that is shown at once, with at most so many clients and topics."""

    async def clients(self, *, topic_lists: bool) -> list[ClientReport]:
        """Return every client; with its topics, as far as there are not too many, if ``topic_lists``."""

    async def topics(self, limit: int) -> list[TopicReport]:
        """Return the topics with most events lately, the first the hottest."""

    async def unready(self) -> list[str]:
        """Return why not all that should be served is served: a line each; nothing when all is well."""

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a form that ``accept``, the header of a request, allows; and its content type."""

    def watch(self, watcher: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Tell of the records of activity that are kept, then of each new one. Return what ends that."""


class AdminPages:
    """The pages, by path; see :class:`fproxy.shell.admin_server.AdminServer`."""

    def __init__(self, source: AdminSource) -> None:
        """Prepare the pages.

        Args:
            source: what they show.
        """
        self._source = source
        self._watchers = 0
        self._live_page = (
            importlib.resources.files("fproxy.face").joinpath("live_page.html").read_text("utf-8")
        )

    def pages(self) -> Mapping[str, Handler]:
        """Return every page, by path."""
        return {
            "/": self._live,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/state": self._state,
            "/streams": self._streams,
            "/clients": self._clients,
            "/topics": self._topics,
            "/events": self._events,
        }

    async def _live(self, request: web.BaseRequest) -> web.StreamResponse:
        # The page needs nothing from elsewhere, and is allowed nothing.
        policy = (
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
            "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return text_response(
            self._live_page, content_type="text/html", headers={"Content-Security-Policy": policy}
        )

    async def _healthz(self, request: web.BaseRequest) -> web.StreamResponse:
        return text_response("ok\n")  # that it is said at all shows that the loop turns

    async def _readyz(self, request: web.BaseRequest) -> web.StreamResponse:
        reasons = await self._source.unready()
        if not reasons:
            return text_response("ready\n")
        return text_response("".join(f"not ready: {reason}\n" for reason in reasons), status=503)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        body, content_type = await self._source.metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def _state(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            clients = _number(request.query, "clients", SHOWN_CLIENTS, MOST_LISTED)
            topics = _number(request.query, "topics", SHOWN_TOPICS, MOST_TOPICS)
        except ValueError as error:
            return text_response(f"{error}\n", status=400)
        return _json(await self._source.state(clients=clients, topics=topics))

    async def _streams(self, request: web.BaseRequest) -> web.StreamResponse:
        state = await self._source.state(clients=0, topics=0)
        streams: list[StreamReport | dict[str, Any]] = [
            {"process": process["name"], **stream}
            for process in state["processes"]
            for stream in process["streams"]
        ]
        return _json({"now": state["now"], "streams": streams})

    async def _clients(self, request: web.BaseRequest) -> web.StreamResponse:
        query = request.query
        order = query.get("sort", "unsent_bytes")
        if order not in CLIENT_ORDERS:
            return text_response(f"sort is one of {', '.join(CLIENT_ORDERS)}\n", status=400)
        try:
            offset, limit = _number(query, "offset", 0, 10**9), _number(query, "limit", 100, MOST_LISTED)
            with_topics = bool(_number(query, "topics", 0, 1))
        except ValueError as error:
            return text_response(f"{error}\n", status=400)
        everybody = ordered_clients(await self._source.clients(topic_lists=with_topics), order)
        page: ClientsReport = {
            "now": unix_ms(),
            "total": len(everybody),
            "offset": offset,
            "limit": limit,
            "clients": everybody[offset : offset + limit],
        }
        return _json(page)

    async def _topics(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            limit = _number(request.query, "limit", 100, MOST_TOPICS)
        except ValueError as error:
            return text_response(f"{error}\n", status=400)
        return _json({"topics": await self._source.topics(limit)})

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._watchers >= MAX_WATCHERS:
            return text_response(f"{MAX_WATCHERS} read these events already\n", status=503)
        self._watchers += 1
        try:
            return await event_stream(request, self._records())
        finally:
            self._watchers -= 1

    async def _records(self) -> AsyncIterator[bytes]:
        waiting: deque[Mapping[str, Any]] = deque()
        came = asyncio.Event()
        left_out = 0

        def take(record: Mapping[str, Any]) -> None:
            nonlocal left_out
            if len(waiting) >= QUEUED_RECORDS:
                left_out += 1
            else:
                waiting.append(record)
            came.set()

        stop = self._source.watch(take)
        try:
            yield b"retry: 1000\n\n"
            while True:
                try:
                    async with asyncio.timeout(STILL_THERE):
                        await came.wait()
                except TimeoutError:
                    yield b": still there\n\n"
                    continue
                came.clear()
                while waiting:
                    yield b"event: activity\ndata: " + json.dumps(waiting.popleft()).encode() + b"\n\n"
                if left_out:
                    yield b'event: left_out\ndata: {"records":%d}\n\n' % left_out
                    left_out = 0
        finally:
            stop()


def _number(query: "MultiDict[str] | Mapping[str, str]", name: str, default: int, most: int) -> int:
    """Return a whole number of the query.

    Raises:
        ValueError: it is none, or outside 0 to ``most``.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise ValueError(f"{name} is a whole number from 0 to {most}, not {text[:32]!r}")
    return int(text)


def _json(value: object) -> web.Response:
    text = json.dumps(value, separators=(",", ":")) + "\n"
    return text_response(text, content_type="application/json")
