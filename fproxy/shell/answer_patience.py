"""How long an upstream is waited for that does not answer: auth first, then what a connection begins with."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from fproxy.core.upstream_effects import Effect
from fproxy.core.upstream_session import UpstreamSession

LATE_ANSWER_TIME: Final = 10.0
"""How long an upstream that is known to answer may take to answer the first requests, in seconds."""


class AnswerPatience:
    """The time that one connection's upstream has for its answers."""

    __slots__ = ("_auth_wait", "_carry_out", "_ends", "_loop", "_session", "_timer")

    def __init__(
        self,
        session: UpstreamSession,
        auth_wait: float,
        *,
        ends: Callable[[], bool],
        carry_out: Callable[[Iterable[Effect]], None],
    ) -> None:
        """Prepare it, for the running event loop.

        Args:
            session: knows what lacks an answer, and what to do without.
            auth_wait: the time for the answer to auth, in seconds.
            ends: returns whether the connection is ending, so that nobody waits any more.
            carry_out: does what the session asks for when the time is over.
        """
        self._session = session
        self._auth_wait = auth_wait
        self._ends = ends
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        """The connection is open: wait for the answer to auth."""
        self._timer = self._loop.call_later(self._auth_wait, self._auth_wait_over)

    def ready(self, *, is_peer: bool) -> None:
        """The upstream takes requests, and has been sent the first: wait for the answers to these.

        Args:
            is_peer: whether it is a role of ours, which always answers, but may wait for the vendor first.
        """
        self.stop()
        if self._session.awaits_first_answers:
            self._wait(max(self._auth_wait, LATE_ANSWER_TIME) if is_peer else self._auth_wait)

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float, waited: float | None = None) -> None:
        """Wait on.

        Args:
            seconds: for how long.
            waited: for how long that will have been; None for as long.
        """
        self._timer = self._loop.call_later(
            seconds, self._answer_wait_over, seconds if waited is None else waited
        )

    def _auth_wait_over(self) -> None:
        if not self._ends():
            self._carry_out(self._session.auth_wait_over())

    def _answer_wait_over(self, waited: float) -> None:
        if self._ends():
            return
        if not self._session.has_begun:
            self._wait(waited)
        elif self._session.has_acknowledged and waited < LATE_ANSWER_TIME:
            # It answers, so it is late and not silent.
            self._wait(LATE_ANSWER_TIME - waited, LATE_ANSWER_TIME)
        else:
            self._carry_out(self._session.answer_wait_over())
