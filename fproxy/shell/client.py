"""One client's connection: its handshake, what is written to it, and how it ends.

The bytes of the connection go through websockets' sans-I/O protocol on the way in, which answers pings and
closes and keeps the limits. On the way out, market data bypasses it: ready-made frames go straight to the
socket, or to the transport while that has something waiting. There is no task, no queue and no timer for a
client, and all timeouts of a server share one wheel.
"""

import asyncio
import enum
import logging
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from functools import partial
from typing import Any, Final, cast

import aiofastnet
from websockets.frames import CloseCode
from websockets.protocol import State

from fproxy._fastpath import FrameSink
from fproxy._socket_writer import TRANSPORT_BYTES, SocketWriter
from fproxy.core.activity import ActivityKind
from fproxy.core.client_key import ClientKey
from fproxy.core.frames import text_frame
from fproxy.core.market import STOCKS
from fproxy.core.stream_position import RecoveryRequest
from fproxy.core.topics import Topic
from fproxy.shell import peer
from fproxy.shell.client_arrival import ClientArrival
from fproxy.shell.client_closing import PROTOCOL_ERRORS, Draining, end_output, fitting_reason
from fproxy.shell.client_input import ClientInput
from fproxy.shell.client_log import closed_text
from fproxy.shell.client_membership import ClientMembership
from fproxy.shell.client_protocol import ClientProtocol
from fproxy.shell.client_session import ClientSession
from fproxy.shell.clock import unix_ms
from fproxy.shell.delivery import DeliveryLog
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.handshake import release
from fproxy.shell.keep_alive import KeepAlive
from fproxy.shell.shared_state import SharedState
from fproxy.shell.slow_consumer import slow_consumer_message, slowness, use_slow_client_policy
from fproxy.shell.timer_wheel import NO_TICK

logger: Final = logging.getLogger("fproxy.server")


class _Stage(enum.IntEnum):
    HANDSHAKE = enum.auto()
    AUTHENTICATING = enum.auto()
    JOINED = enum.auto()
    CLOSING = enum.auto()
    """Nothing more is written; what still comes in only matters to the closing handshake."""
    CLOSED = enum.auto()


def _discard(frame: bytes) -> None:
    """Stand in for ``write`` while nothing can be sent."""


class Client(asyncio.BufferedProtocol):
    """One client's connection, and the sink for its data.

    Attributes:
        write: the hot path, ``write(frame: bytes) -> None``: send ready-made, whole WebSocket frames, in
            order with all else that is sent. It never blocks and never raises; after ``close`` and after the
            client has gone it does nothing. A client that leaves more than the limit unsent is closed as a
            slow consumer. This is the writer's own method, and is replaced at the end: look it up at each
            use, do not keep it.
        number: names the connection within its server.
        connected: when it was accepted, in Unix milliseconds.
        account: after auth, an opaque name of the key's holder, the same for the same key; empty before.
        key: after auth, what the key's holder may do; None before.
        context: whatever the role wants to keep with the client.
        timer_tick: kept by the timer wheel.
    """

    __slots__ = (
        "_arrival",
        "_draining",
        "_ending",
        "_endpoint",
        "_forwarded",
        "_handed_over",
        "_input",
        "_membership",
        "_protocol",
        "_session",
        "_shared",
        "_stage",
        "_transport",
        "_writer",
        "account",
        "connected",
        "context",
        "key",
        "number",
        "timer_tick",
        "write",
    )

    write: Callable[[bytes], None]
    context: Any

    def __init__(self, shared: SharedState, handed_over: peer.Arrival | None = None) -> None:
        self.write = _discard
        self._handed_over = handed_over
        self._arrival: ClientArrival | None = None
        self.number = shared.next_number()
        self.connected = unix_ms()
        self.account = ""
        self.key: ClientKey | None = None
        self.context = None
        self.timer_tick = NO_TICK
        self._shared = shared
        self._stage = _Stage.HANDSHAKE
        # The client's address as a reverse proxy has named it.
        self._forwarded: str | None = None
        self._endpoint: Endpoint | None = None
        self._session: ClientSession | None = None
        # While the connection is closing.
        self._draining: Draining | None = None
        # Why it is gone, for the log.
        self._ending = "the connection broke off"
        self._transport: aiofastnet.Transport
        self._input: ClientInput | None = None
        # While it has joined and is not closing.
        self._membership: ClientMembership | None = None
        self._writer: SocketWriter | None = None
        self._protocol: ClientProtocol | None = None

    def __repr__(self) -> str:
        return f"<Client {self.peer} {self._stage.name.lower()}>"

    @property
    def peer(self) -> str:
        """The client's address and port, or the address that a trusted proxy has named, as log lines show it."""
        return peer.shown(getattr(self, "_transport", None), self._forwarded)

    @property
    def described(self) -> str:
        """The client's address and port, with its key's name, and its market when that is not stocks, for log lines."""
        who = f"{self.key.name} at {self.peer}" if self.key is not None and self.key.name else self.peer
        if self._endpoint is None or self._endpoint.market is STOCKS:
            return who
        return f"{who} on {self._endpoint.market.name}"

    @property
    def sink(self) -> FrameSink:
        """Where a fan-out writes the client's data: quicker than ``write``, and in order with it. After auth only."""
        assert self._writer is not None
        return self._writer

    @property
    def authenticated(self) -> bool:
        """Whether the client has authenticated and is not closing."""
        return self._stage is _Stage.JOINED

    @property
    def market(self) -> str:
        """The market of the client's path; empty before it has asked for one."""
        return "" if self._endpoint is None else self._endpoint.market.name

    @property
    def topics(self) -> Set[Topic]:
        """What the client is subscribed to, as a live view; nothing where its role keeps no topics."""
        if self._stage is not _Stage.JOINED or self._endpoint is None:
            return frozenset()
        return self._endpoint.handler.topics(self) or frozenset()

    @property
    def established(self) -> bool:
        """Whether the opening handshake is over."""
        return self._stage is not _Stage.HANDSHAKE

    @property
    def closing(self) -> bool:
        """Whether the client is closing or gone: nothing more is written, and what it says does not matter."""
        return self._stage >= _Stage.CLOSING

    @property
    def gone(self) -> bool:
        """Whether the connection is closed."""
        return self._stage is _Stage.CLOSED

    @property
    def unsent_bytes(self) -> int:
        """How many bytes wait to be sent."""
        return self._unsent()

    @property
    def dropped_events(self) -> int:
        """How many events its slow-client policy left out."""
        return 0 if self._writer is None else self._writer.dropped_events

    @property
    def lag(self) -> float:
        """For how long the oldest of them has waited, in seconds; 0 when none waits."""
        return 0.0 if self._writer is None else self._writer.lag

    def delivery_log(self, now: int) -> DeliveryLog:
        """Return a log of what reaches the client, which has got all that came before ``now``, in Unix milliseconds."""
        return DeliveryLog(self._transport, self._unsent, now=now)

    def send_status(self, message: bytes) -> None:
        """Send one message, a JSON array of status events, as a text frame, in order with data."""
        self.write(text_frame(message))

    def send_message(self, message: bytes) -> None:
        """Send one message, a JSON array of market events that no fan-out distributes, likewise."""
        self.write(text_frame(message))

    def after_reply(self, callback: Callable[[], None]) -> None:
        """Call back once the message that the client sent is answered; soon, when there is none to answer.

        A message with many topics is carried out in steps, between which the loop turns: this is how what a role has to
        say of one of them comes behind the acknowledgement of all.
        """
        if self._session is None:
            self._shared.loop.call_soon(callback)
        else:
            self._session.after_reply(callback)

    def refuse_replay(self) -> None:
        """Tell the client, behind the reply and once, that what has passed is not kept here."""
        if self._session is not None:
            self._session.refuse_replay()

    def refuse_snapshot(self) -> None:
        """Tell the client, behind the reply and once, that last events are not kept here."""
        if self._session is not None:
            self._session.refuse_snapshot()

    def close(self, code: int, reason: str) -> None:
        """Close the connection behind what has been written. Closing twice is fine.

        The role's ``client_left`` is called from the event loop, soon, and not from in here.

        Args:
            code: the WebSocket close code.
            reason: the reason, cut to the 123 bytes that a close frame has for it.
        """
        if self._stage >= _Stage.CLOSING:
            return
        if self._protocol is None:
            self._start_closing()
            self._transport.abort()
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, fitting_reason(reason))
        self._send_protocol_frames(self._protocol)

    def hold_refusal(self, seconds: float) -> None:
        """Have the session called back, as at the end of the time to authenticate, when its answer may go out."""
        self._shared.timers.schedule(self, seconds)

    def abort(self) -> None:
        """Drop the connection at once, with all that is unsent."""
        if self._stage is not _Stage.CLOSED:
            if self._writer is not None:
                self._writer.stop()
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection was accepted."""
        self._transport = cast(aiofastnet.Transport, transport)
        shared = self._shared
        shared.clients.add(self)
        shared.empty.clear()
        # What waits is kept by the writer, but for the little that a TLS transport has ahead.
        self._transport.set_write_buffer_limits(high=TRANSPORT_BYTES - 1)
        self._input = ClientInput(self, self._transport, shared.pacer, shared.reading)
        self._arrival = ClientArrival(self, self._transport, shared, self._handed_over)
        self._handed_over = None
        self._forwarded = self._arrival.forwarded
        if self._arrival.admitted:
            shared.timers.schedule(self, shared.limits.handshake_timeout)
        else:
            self._start_closing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        return self._shared.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` were read."""
        data = bytes(self._shared.read_buffer[:nbytes])
        if self._membership is not None:
            self._membership.heard()
        if self._input is not None:
            self._input.received(data, more=nbytes == len(self._shared.read_buffer))

    def eof_received(self) -> bool:
        """The client sends no more: the connection ends once all has been sent. Return whether that takes time."""
        if self._stage < _Stage.CLOSING:
            self._ending = "the client ended the connection"
        self._start_closing()
        if self._writer is None or not self._writer.waiting_bytes:
            return False
        self._writer.when_drained(self._transport.close)
        return True

    def pause_writing(self) -> None:
        """The transport of a TLS connection has enough waiting: the writer looks at that itself."""

    def resume_writing(self) -> None:
        """The transport takes more."""
        if self._writer is not None:
            self._writer.resume()

    def cut_off(self, reason: str) -> None:
        """Disconnect the client as a slow consumer, and tell it so in place of all that waits.

        Args:
            reason: ``bytes``, ``lag``, ``memory`` or ``replay``, as metrics have it.
        """
        if self._stage >= _Stage.CLOSING or self._writer is None:
            self.abort()
            return
        unsent = self._unsent()
        if self._endpoint is not None:
            self._shared.metrics.of(self._endpoint.market.name).slow_consumers.labels(reason).inc()
        logger.warning("%s disconnected as a slow consumer: %s", self.described, slowness(reason, unsent))
        self._shared.record(
            ActivityKind.CLIENT_SLOW,
            f"{self.described} disconnected as a slow consumer: {slowness(reason, unsent)}",
        )
        if not self._writer.cut():
            self.abort()  # the frame that is partly sent is a long one
            return
        self.send_status(slow_consumer_message(reason, unsent))
        self.close(CloseCode.POLICY_VIOLATION, "slow consumer")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, for whatever reason."""
        shared = self._shared
        logger.debug("%s disconnected", self.peer)
        self._stage = _Stage.CLOSED
        self.write = _discard
        if self._writer is not None:
            self._writer.stop()
        if self._arrival is not None:
            self._arrival.close()
        if self._protocol is not None:
            release(self._protocol)
        membership = self._membership
        # These refer to the client: left in place they would keep it until a garbage collection.
        self._arrival = self._input = self._protocol = self._session = self._membership = self._draining = (
            None
        )
        shared.timers.cancel(self)
        shared.admission.left(self)
        if membership is not None:
            membership.leave(self._ending)
        shared.clients.discard(self)
        if not shared.clients:
            shared.empty.set()

    # Its input.

    def take(self, data: bytes) -> Iterator[None]:
        """Take what was read, in steps. Neither this nor a step raises."""
        try:
            if self._arrival is not None:
                data = yield from self._shake_hands(self._arrival, data)
                if data:
                    yield
            if self._protocol is not None and data:
                yield from self._receive(self._protocol, data)
        except Exception:
            # A defect, ours or the role's: it must cost no one but this client.
            logger.exception("%s disconnected: its message could not be handled", self.described)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")

    def hold_input(self, seconds: float) -> None:
        """Take no more for a while: the client has sent too much."""
        if self._input is not None:
            self._input.hold(seconds)

    # What the timer wheel calls.

    def timer_expired(self) -> None:
        """The client's timeout is over, whichever it was."""
        if self._stage < _Stage.JOINED and self._input is not None and self._input.waits:
            # It is the server that is late. Input that is held is not: that is for what a stranger has sent too much.
            self._shared.timers.schedule(self, self._shared.limits.auth_timeout / 10)
            return
        match self._stage:
            case _Stage.HANDSHAKE:
                logger.debug("%s dropped: no handshake in time", self.peer)
                self._shared.metrics.refused_connections.labels("handshake").inc()
                self._transport.abort()
            case _Stage.AUTHENTICATING:
                assert self._session is not None
                self._session.auth_timed_out()
            case _Stage.JOINED:
                assert self._membership is not None
                self._membership.look_after(is_late=self._input is not None and self._input.is_late)
            case _Stage.CLOSING:
                self._give_up_closing()

    # The opening handshake.

    def _shake_hands(self, arrival: ClientArrival, data: bytes) -> Generator[None, None, bytes]:
        """Go on with the handshake, in steps. Return what came behind it, when it ends well."""
        outcome = arrival.received(data)
        if outcome is None:
            return b""
        arrival.close()
        self._arrival = None
        self._forwarded = arrival.forwarded
        self._endpoint = outcome.endpoint
        if outcome.endpoint is None:
            self._start_closing()
            return b""
        yield
        if self._stage is not _Stage.HANDSHAKE:
            return b""
        shared = self._shared
        logger.debug("%s connected", self.peer)
        self._stage = _Stage.AUTHENTICATING
        # A new parser: the handshake's holds on to the request, and to all of its headers.
        self._protocol = ClientProtocol(shared.limits.max_control_bytes)
        self._session = ClientSession(self, outcome.endpoint, shared)
        self._writer = SocketWriter(
            self._transport,
            shared.backlog,
            loop=shared.loop,
            max_bytes=shared.limits.max_unsent_bytes,
            too_slow=self.cut_off,
        )
        self._use_slow_client_policy()
        self.write = self._writer.write
        shared.timers.schedule(self, shared.limits.auth_timeout)
        self._session.opened()
        return outcome.rest

    # The session.

    def _receive(self, protocol: ClientProtocol, data: bytes) -> Iterator[None]:
        if self._session is None:
            protocol.receive_data(data)
            protocol.events_received()  # only the closing handshake matters now
        else:
            yield from self._session.received(protocol, data)
        # Pongs and the answer to a close go out behind the replies to what came before them.
        if self._stage is not _Stage.CLOSED:
            self._send_protocol_frames(protocol)

    def join(self, account: str, key: ClientKey, recovery: RecoveryRequest | None) -> None:
        """Have the client join its role, now that it has authenticated.

        Args:
            account: an opaque name of its key's holder.
            key: what is known of the key.
            recovery: what it asks for that follows the stream by number; None for every client but roles of ours.
        """
        assert self._endpoint is not None
        self.account = account
        self.use_key(key)
        self._stage = _Stage.JOINED
        self._membership = ClientMembership(
            self, self._endpoint, self._shared, KeepAlive(self._transport, self._unsent)
        )
        self._membership.begin(key, recovery)

    def use_key(self, key: ClientKey) -> None:
        """Go by what the client's key allows now."""
        self.key = key
        self._use_slow_client_policy()
        if self._session is not None:
            self._session.use_key(key)

    def _use_slow_client_policy(self) -> None:
        if self._writer is not None and self._endpoint is not None:
            use_slow_client_policy(
                self._writer,
                self.key,
                self._shared.limits,
                is_local=peer.is_on_this_machine(self._transport, self._forwarded),
                hold=partial(self._shared.upstream_hold.change, self._endpoint.handler),
            )

    def unsubscribe(self, topics: Sequence[Topic]) -> None:
        """Take topics from the client, which has joined, without its asking."""
        assert self._endpoint is not None
        self._endpoint.handler.unsubscribe(self, topics)

    # The end.

    def _send_protocol_frames(self, protocol: ClientProtocol) -> None:
        """Send what the protocol has to say, and follow it when it is closing."""
        frames, ends = protocol.frames_to_send()
        for some in frames:
            # While it is closing this writes nothing, no pong either: a client that does not read could ask for them
            # without end.
            self.write(some)
        if protocol.close_expected():
            if self._stage < _Stage.CLOSING:
                self._ending = closed_text(protocol)
                if protocol.close_sent is not None and protocol.close_sent.code in PROTOCOL_ERRORS:
                    self._shared.metrics.refused_connections.labels("protocol").inc()
            self._start_closing()
        if ends and self._writer is not None:
            # After both close frames nothing more can come.
            self._writer.when_drained(
                partial(
                    end_output,
                    self._transport,
                    self._shared.loop,
                    peer_is_done=protocol.close_rcvd is not None,
                )
            )

    def _start_closing(self) -> None:
        if self._stage >= _Stage.CLOSING:
            return
        shared = self._shared
        if self._membership is not None:
            # Not at once: this may be inside a write, in the role's loop over its clients.
            shared.loop.call_soon(self._leave, self._membership)
        self._stage = _Stage.CLOSING
        self.write = _discard
        if self._writer is not None:
            self._writer.finish()
        self._session = self._membership = None
        self._draining = Draining(self._transport, self._unsent, shared.loop, shared.limits.close_timeout)
        shared.timers.schedule(self, shared.limits.close_timeout)

    def _leave(self, membership: ClientMembership) -> None:
        membership.leave(self._ending)

    def _unsent(self) -> int:
        if self._stage is _Stage.CLOSED:
            return 0
        waiting = self._writer.waiting_bytes if self._writer is not None else 0
        return waiting + self._transport.get_write_buffer_size()

    def _give_up_closing(self) -> None:
        """Drop the client, unless it is still reading what is left for it."""
        if self._draining is not None and self._draining.deserves_time():
            self._shared.timers.schedule(self, self._shared.limits.close_timeout)
        else:
            self.abort()
