"""How a connection becomes a client's: whether it is let in, and the opening handshake."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fproxy.shell import peer
from fproxy.shell.admission import REFUSALS
from fproxy.shell.client_closing import end_output
from fproxy.shell.handshake import Handshake, Outcome
from fproxy.shell.shared_state import SharedState

if TYPE_CHECKING:
    from fproxy.shell.client import Client

_OTHERS_LISTED: Final = "FPROXY_ALLOWED_ORIGINS does not name that"
_OTHERS_FOREIGN: Final = "any key will do here; set FPROXY_CLIENT_KEYS to let pages of other hosts in"


class ClientArrival:
    """One connection that is not a client's yet. It is dropped when the handshake is over, as that weighs a lot.

    Attributes:
        forwarded: the client's address as a reverse proxy has named it; None when none has.
    """

    __slots__ = ("_client", "_handshake", "_shared", "_transport", "forwarded")

    def __init__(
        self,
        client: "Client",
        transport: asyncio.Transport,
        shared: SharedState,
        handed_over: peer.Arrival | None,
    ) -> None:
        """Decide whether a connection is let in: see ``admitted``.

        Args:
            client: the connection, as admission counts it.
            transport: its transport.
            shared: what the clients of the server share.
            handed_over: what is known of it when it has been let in before, for its TLS handshake.
        """
        self._client = client
        self._transport = transport
        self._shared = shared
        self._handshake: Handshake | None = None
        self.forwarded: str | None = None
        admission = shared.admission
        if handed_over is None:
            host = peer.host_of(transport)
            reason = admission.arrived(client, host)
        else:
            host, self.forwarded, reason = handed_over.host, handed_over.forwarded, None
            admission.becomes(handed_over.connection, client)
        if not shared.accepting:
            shared.loop.call_soon(transport.abort)
        elif reason is not None:
            self._turn_away(reason)
        else:
            shared.metrics.connections.inc()
            proxies = admission.trusted_proxies
            self._handshake = Handshake(
                shared.endpoints,
                local_pages_only=shared.keys.is_open,
                allowed_origins=shared.connection_limits.allowed_origins,
                proxies=proxies if proxies.trust(host) else None,
                forwarded=self.forwarded,
                after_tls=handed_over is not None,
            )

    @property
    def admitted(self) -> bool:
        """Whether the connection may shake hands; else its end has begun."""
        return self._handshake is not None

    def received(self, data: bytes) -> Outcome | None:
        """Go on with the handshake, and answer it at its end.

        Returns:
            how it ended, None while it goes on. Without an endpoint the end of the connection has begun.
        """
        if self._handshake is None:
            return None  # it has been turned away, and says something nevertheless
        outcome = self._handshake.received(data)
        if outcome is None:
            return None
        if outcome.forwarded is not None and outcome.forwarded != self.forwarded:
            self.forwarded = outcome.forwarded
            reason = self._shared.admission.identified(self._client, outcome.forwarded)
            if reason is not None:
                self._turn_away(reason)
                return replace(outcome, endpoint=None)
        self._transport.write(outcome.response)
        if outcome.endpoint is None:
            if outcome.refused_origin is not None:
                self._tell_of_origin(outcome.refused_origin)
            elif outcome.is_malformed:
                self._shared.metrics.refused_connections.labels("protocol").inc()
                if outcome.proxy_error:
                    shown = peer.shown(self._transport, self.forwarded)
                    self._shared.proxy_log.log("%s dropped: %s", shown, outcome.proxy_error)
            end_output(self._transport, self._shared.loop, peer_is_done=False)
        return outcome

    def close(self) -> None:
        """Let go of the handshake, over or not."""
        if self._handshake is not None:
            self._handshake.close()

    def _turn_away(self, reason: str) -> None:
        """End the connection before it is one, for a limit that the metrics call by ``reason``."""
        refusal = REFUSALS[reason]
        shown = peer.shown(self._transport, self.forwarded)
        self._shared.admission.refused(reason, "%s turned away: %s", shown, refusal.log_text)
        self._transport.write(refusal.response)
        # Not at once: a transport that is closed in connection_made leaves its file registered with the loop.
        self._shared.loop.call_soon(self._transport.close)

    def _tell_of_origin(self, origin: str) -> None:
        shared = self._shared
        shared.metrics.refused_origins.inc()
        shared.origin_log.log(
            "%s refused: it is a web page of %.100r, and %s",
            peer.shown(self._transport, self.forwarded),
            origin,
            _OTHERS_LISTED if shared.connection_limits.allowed_origins else _OTHERS_FOREIGN,
        )
