"""A client's session on its connection: what it says, what the role makes of it, and what it is answered.

The rules are ``fproxy.core.control``'s; this carries out what they ask for, in steps, between which the loop turns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from websockets.frames import CloseCode, Frame

from fproxy.core import control
from fproxy.core.activity import ActivityKind
from fproxy.core.client_key import ClientKey
from fproxy.core.long_request import LongMessage
from fproxy.core.status_replies import Reply, status_message
from fproxy.core.topics import Topic
from fproxy.shell.client_protocol import ClientProtocol
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.message_assembler import MessageAssembler
from fproxy.shell.message_rate import MessageRate
from fproxy.shell.shared_state import SharedState

if TYPE_CHECKING:
    from fproxy.shell.client import Client

MAX_BYTES_BEFORE_AUTH: Final = 256 * 1024
"""How much a client may send before it has authenticated, in bytes of frames: of a stranger no more is kept."""

PARSED_BYTES: Final = 128
"""How much of what was read is parsed in one step, but for the rest of a frame, which is quick however long it is: it
may be 21 frames, a quarter of a millisecond's work, or a few requests, a fifteenth."""

NO_REPLAY: Final = status_message(
    ("error", "'since' is not served here: no history is kept; subscribed to what comes from now on")
)
"""What a client is told that asks a role for what has passed, which does not keep it."""

NO_SNAPSHOT: Final = status_message(
    ("error", "'snapshot' is not served here: no last events are kept; subscribed to what comes from now on")
)
"""What a client is told that asks a role for last events, which does not keep them."""


_REFUSALS: Final[Mapping[str, str]] = {
    "timeout": "no authentication in time",
    "bad_key": "authentication failed",
    "expired": "its key has expired",
    "market": "its key is not for this market",
    "shut_out": "its address has sent too many wrong keys of late",
}
"""What the log says of a client that failed to authenticate, by the reason."""


class ClientSession:
    """The session of one client, from the end of its handshake to the beginning of its end."""

    __slots__ = (
        "_after_reply",
        "_assembler",
        "_bytes_before_auth",
        "_client",
        "_endpoint",
        "_held",
        "_metrics",
        "_rate",
        "_rules",
        "_shared",
    )

    def __init__(self, client: "Client", endpoint: Endpoint, shared: SharedState) -> None:
        """Prepare a session.

        Args:
            client: the connection.
            endpoint: what it is connected to.
            shared: what the clients of the server share.
        """
        self._client = client
        self._endpoint = endpoint
        self._metrics = shared.metrics.of(endpoint.market.name)
        self._shared = shared
        self._assembler = MessageAssembler()
        self._rules = control.Session(
            keys=shared.keys,
            greets=endpoint.greets,
            market=endpoint.market,
            denial=endpoint.denial,
            max_topics=shared.limits.max_topics,
            max_bar_wildcards=shared.limits.max_bar_wildcards,
            max_bar_intervals=shared.limits.max_bar_intervals,
            holder=shared.limits.holder,
        )
        self._bytes_before_auth = 0
        self._rate = MessageRate(shared.connection_limits.max_control_rate, shared.loop.time)
        # What remains to be carried out of the answer to a wrong key, while that is held back.
        self._held: list[control.Effect] | None = None
        # What a role wants done behind the reply to the message being carried out, or None between messages.
        self._after_reply: list[Callable[[], None]] | None = None

    def use_key(self, key: ClientKey) -> None:
        """Go by what a key allows now."""
        self._rules.key = key

    def opened(self) -> None:
        """The connection is open: greet the client, where that is the way."""
        for effect in self._rules.opened():
            self._carry_out(effect)

    def auth_timed_out(self) -> None:
        """The client had its time to authenticate, or to wait for the answer to a wrong key."""
        held, self._held = self._held, None
        for effect in held or ():
            self._carry_out(effect)
        for effect in self._rules.auth_timed_out():
            self._carry_out(effect)

    def received(self, protocol: ClientProtocol, data: bytes) -> Iterator[None]:
        """Take what was read, in steps, as long as the client is not closing.

        Args:
            protocol: takes the bytes; it may be failed in here, and has yet to send what it wants to send then.
            data: what was read.
        """
        client = self._client
        end = 0
        while end < len(data):
            if end:
                yield
            begin, end = end, end + max(PARSED_BYTES, protocol.bytes_left)
            if client.closing:
                if not client.gone:  # The rest may end with the client's part of the closing handshake.
                    protocol.receive_data(data[begin:])
                return
            protocol.receive_data(data[begin:end])
            frames = protocol.events_received()
            if frames:
                yield
            for frame in frames:
                if client.closing:
                    break
                assert isinstance(frame, Frame)
                try:
                    message = self._assembler.received(frame)
                except UnicodeDecodeError:
                    # RFC 6455, section 8.1.
                    protocol.fail(CloseCode.INVALID_DATA, "a text message is not UTF-8")
                    return
                if message is not None:
                    self._rate.take()
                    yield from self._message_received(message)
        if self._rate.debt:
            self._shared.metrics.held_inputs.inc()
            client.hold_input(self._rate.debt)
        if not client.authenticated and not client.closing:
            # Counted here, as the parser's own limit would also hold for what comes in one piece with auth.
            self._bytes_before_auth += len(data)
            if self._bytes_before_auth > MAX_BYTES_BEFORE_AUTH:
                protocol.fail(
                    CloseCode.MESSAGE_TOO_BIG, f"more than {MAX_BYTES_BEFORE_AUTH} bytes before auth"
                )

    def after_reply(self, callback: Callable[[], None]) -> None:
        """Call back once the message being carried out is answered; soon, when there is none. See ``Client``."""
        if self._after_reply is None:
            self._shared.loop.call_soon(callback)
        else:
            self._after_reply.append(callback)

    def refuse_replay(self) -> None:
        """Tell the client, behind the reply and once, that what has passed is not kept here."""
        self._after_reply_once(self._say_no_replay)

    def refuse_snapshot(self) -> None:
        """Tell the client, behind the reply and once, that last events are not kept here."""
        self._after_reply_once(self._say_no_snapshot)

    def _after_reply_once(self, callback: Callable[[], None]) -> None:
        if callback not in (self._after_reply or ()):
            self.after_reply(callback)

    def _message_received(self, message: str | bytes | LongMessage) -> Iterator[None]:
        client = self._client
        self._after_reply = []
        held = self._endpoint.handler.topics(client) if client.authenticated else None
        if not client.authenticated:
            self._rules.is_shut_out = self._shared.admission.shuts_out(client)
        has_changed = False
        for effect in self._rules.received(message, held):
            if isinstance(effect, control.Subscribe | control.Unsubscribe):
                yield from self._prepared(effect)
            if client.closing:
                break
            self._carry_out(effect)
            if not has_changed and isinstance(effect, control.Subscribe | control.Unsubscribe):
                has_changed = True  # that may be all that was asked for, which is answered in the same step
            else:
                yield
        callbacks, self._after_reply = self._after_reply, None
        for callback in callbacks:
            callback()

    def _prepared(self, change: control.Subscribe | control.Unsubscribe) -> Iterator[None]:
        """Have done beforehand, in steps, what of a change would take long."""
        preparing = self._endpoint.preparing
        if preparing is not None:
            subscribes = isinstance(change, control.Subscribe)
            while not self._client.closing and preparing.prepare_change(
                self._client, change.topics, subscribes=subscribes
            ):
                yield

    def _carry_out(self, effect: control.Effect) -> None:
        client, shared, handler = self._client, self._shared, self._endpoint.handler
        if self._held is not None:
            self._held.append(effect)
            return
        match effect:
            case Reply(message, errors):
                client.send_status(message)
                self._metrics.control_errors.inc(errors)
            case control.Subscribe(topics, since, recover, snapshot, unserved):
                if recover is not None and self._endpoint.recovering is not None:
                    unserved.update(
                        self._endpoint.recovering.subscribe_recovering(client, topics, recover) or {}
                    )
                else:
                    unserved.update(self._subscribe(topics, since, snapshot) or {})
            case control.Unsubscribe(topics):
                handler.unsubscribe(client, topics)
            case control.Authenticated(account, key, recovery):
                client.join(account, key, recovery)
            case control.Refused(reason):
                shared.metrics.auth_failures.labels(reason).inc()
                what = _REFUSALS[reason]
                shared.auth_failure_log.log("%s refused: %s", client.described, what)
                shared.record(ActivityKind.CLIENT_REFUSED, f"{client.described} refused: {what}")
                delay = shared.admission.failed_auth(client) if reason == "bad_key" else 0.0
                if delay:
                    self._held = []
                    client.hold_refusal(delay)
            case control.Close(code, reason):
                client.close(code, reason)
            case control.Working():
                pass

    def _subscribe(
        self, topics: Sequence[Topic], since: int | None, snapshot: bool | None
    ) -> Mapping[Topic, str | None] | None:
        client, endpoint = self._client, self._endpoint
        if snapshot is not False and endpoint.snapshots is not None:
            return endpoint.snapshots.subscribe_with_snapshot(client, topics, since, asked=snapshot is True)
        if snapshot:
            self.refuse_snapshot()
        if since is None:
            return endpoint.handler.subscribe(client, topics)
        if endpoint.replaying is not None:
            return endpoint.replaying.subscribe_since(client, topics, since)
        self.refuse_replay()
        return endpoint.handler.subscribe(client, topics)

    def _say_no_replay(self) -> None:
        self._say_error(NO_REPLAY)

    def _say_no_snapshot(self) -> None:
        self._say_error(NO_SNAPSHOT)

    def _say_error(self, message: bytes) -> None:
        self._metrics.control_errors.inc()
        self._client.send_status(message)
