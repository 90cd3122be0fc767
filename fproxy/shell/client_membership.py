"""A client as a member of its role: from when it has authenticated until it leaves."""

import logging
import time
from typing import TYPE_CHECKING, Final

from websockets.frames import CloseCode

from fproxy.core.activity import ActivityKind
from fproxy.core.client_key import ClientKey
from fproxy.core.frames import PING_FRAME
from fproxy.core.stream_notice import notice_message
from fproxy.core.stream_position import NO_POSITION, RecoveryRequest
from fproxy.shell.client_handler import NumberingHandler
from fproxy.shell.client_log import joined_text, left_text
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.keep_alive import KeepAlive, Liveness
from fproxy.shell.shared_state import SharedState

if TYPE_CHECKING:
    from fproxy.shell.client import Client

logger: Final = logging.getLogger("fproxy.server")


class ClientMembership:
    """What begins when a client joins, is looked after while it stays, and ends when it leaves."""

    __slots__ = ("_client", "_endpoint", "_keep_alive", "_shared")

    def __init__(
        self, client: "Client", endpoint: Endpoint, shared: SharedState, keep_alive: KeepAlive
    ) -> None:
        """Prepare it.

        Args:
            client: who joins.
            endpoint: what it has connected to.
            shared: what the clients of the server share.
            keep_alive: asks whether the client is still there.
        """
        self._client = client
        self._endpoint = endpoint
        self._shared = shared
        self._keep_alive = keep_alive

    def begin(self, key: ClientKey, recovery: RecoveryRequest | None) -> None:
        """Have the client join.

        Args:
            key: what is known of its key.
            recovery: what it asks for that follows the stream by number; None for every client but roles of ours.
        """
        client, shared, handler = self._client, self._shared, self._endpoint.handler
        shared.admission.authenticated(client)
        shared.metrics.of(self._endpoint.market.name).clients.inc()
        shared.timers.cancel(client)
        if shared.limits.ping_interval > 0:
            # Thousands of clients may have joined at once; their pings must not go out at once.
            spread = hash(client) * 0.618_033_988_75 % 1.0
            shared.timers.schedule(client, shared.limits.ping_interval * (0.5 + spread / 2))
        joined = joined_text(client, self._endpoint.path)
        logger.info("%s", joined)
        shared.record(ActivityKind.CLIENT_JOINED, joined)
        handler.client_joined(client)
        shared.holders.joined(client, key)
        if recovery is not None and not (
            isinstance(handler, NumberingHandler) and handler.client_follows(client, recovery)
        ):
            client.send_status(notice_message(NO_POSITION))

    def heard(self) -> None:
        """Something has come from the client."""
        if self._keep_alive.heard():
            self._shared.timers.schedule(self._client, self._shared.limits.ping_interval)

    def look_after(self, *, is_late: bool) -> None:
        """Nothing has come from the client for a while: ask whether it is there, or end its connection.

        Args:
            is_late: whether it is the server that has not read on.
        """
        client, shared = self._client, self._shared
        limits = shared.limits
        if is_late:
            # The answer to a ping may have come long ago.
            shared.timers.schedule(client, limits.ping_timeout)
            return
        liveness = self._keep_alive.time_is_over()
        if liveness is Liveness.GONE:
            logger.info(
                "%s disconnected: nothing heard for %g s after a ping", client.described, limits.ping_timeout
            )
            client.close(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            return
        # Before the ping, which may be what makes a slow consumer of the client, and so starts its closing.
        shared.timers.schedule(client, limits.ping_timeout)
        if liveness is Liveness.UNASKED:
            client.write(PING_FRAME)

    def leave(self, reason: str) -> None:
        """Have the client leave.

        Args:
            reason: why, for the log.
        """
        client, shared, handler = self._client, self._shared, self._endpoint.handler
        assert client.key is not None
        shared.holders.left(client, client.key)
        shared.metrics.of(self._endpoint.market.name).clients.dec()
        left = left_text(
            client,
            topics=len(handler.topics(client) or ()),
            seconds=time.time() - client.connected / 1000,
            reason=reason,
        )
        logger.info("%s", left)
        shared.record(ActivityKind.CLIENT_LEFT, left)
        handler.client_left(client)
