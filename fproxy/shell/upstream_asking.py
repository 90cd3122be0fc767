"""Asking an upstream for what changes in the demand: soon, and a bounded number of topics at a time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fproxy.core.demand import Demand
from fproxy.core.upstream_effects import Effect
from fproxy.core.upstream_session import UpstreamSession
from fproxy.core.weak_method import weak_method
from fproxy.shell.gathered_changes import GatheredChanges

DROP_INTERVAL: Final = 0.005
"""How long to wait before more topics are dropped than are in one go, in seconds: nobody is in a hurry for that."""

MOST_AHEAD: Final = 64
"""How many requests may lack answers before more topics are asked for no faster than others are dropped."""

UNSUBSCRIBE_GRAIN: Final = 0.25
"""How late an unsubscribe may be, in seconds, so that topics whose time is nearly up go in one message."""


class UpstreamAsking:
    """What one connection asks for, from when its upstream takes requests until it ends."""

    __slots__ = (
        "__weakref__",
        "_carry_out",
        "_changes",
        "_demand",
        "_drops_more",
        "_given_up",
        "_loop",
        "_session",
        "_takes_requests",
        "_timer",
    )

    def __init__(
        self,
        demand: Demand,
        session: UpstreamSession,
        *,
        takes_requests: Callable[[], bool],
        carry_out: Callable[[Iterable[Effect]], None],
        given_up: Callable[[Sequence[str]], None],
    ) -> None:
        """Prepare it, for the running event loop.

        Args:
            demand: what is wanted, and what of it has been asked for.
            session: makes requests of changes.
            takes_requests: returns whether the upstream takes requests now.
            carry_out: sends requests.
            given_up: called with topics that nobody wants any more.
        """
        self._demand = demand
        self._session = session
        self._takes_requests = takes_requests
        self._carry_out = carry_out
        self._given_up = given_up
        self._loop = asyncio.get_running_loop()
        self._changes = GatheredChanges(self._loop, weak_method(self.say))
        self._timer: asyncio.TimerHandle | None = None
        self._drops_more = False  # whether that is for more topics than are dropped in one go

    def changed(self) -> None:
        """The demand has changed: say so upstream, soon."""
        if self._takes_requests():
            self._changes.changed()

    def say(self) -> None:
        """Send what has changed in the demand, and come back when the next lingering topic's time is up."""
        if not self._takes_requests():
            return
        now = time.monotonic()
        changes = self._demand.changes(now, drop=not self._drops_more)
        self._carry_out(self._session.request(changes, now))
        if changes.since and self._session.is_peer:
            self._demand.asked_since(changes.since)
        if changes.given_up:
            self._given_up(changes.given_up)
        if not changes.are_all:
            if self._session.outstanding < MOST_AHEAD:
                self._changes.go_on()
            else:
                self._loop.call_later(DROP_INTERVAL, self.changed)
        self.ask_for_past()
        deadline = self._demand.deadline()
        # A timer that is running is not late: deadlines only ever move on.
        if deadline is not None and self._timer is None:
            # There may be more to drop than is dropped in one go.
            self._drops_more = deadline <= now
            wait = DROP_INTERVAL if self._drops_more else deadline - now + UNSUBSCRIBE_GRAIN
            self._timer = self._loop.call_later(wait, self._is_due)

    def ask_for_past(self) -> None:
        """Ask for what has passed of topics that flow, if that is wanted, and now is the time."""
        past = self._demand.past
        if not past or not self._session.takes_past_requests or not self._takes_requests():
            return
        request = past.next_request(lambda topic: self._demand.flows_since(topic) is not None)
        if request is not None:
            self._carry_out(self._session.request_past(request, time.monotonic()))

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._changes.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _is_due(self) -> None:
        self._timer = None
        self._drops_more = False
        self.say()
