"""One live connection to an upstream: its frames, its timers and the session that is spoken over it."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from fproxy._bounded_reads import BoundedReads
from fproxy._fastpath import FrameError
from fproxy._message_reader import MessageReader
from fproxy.core.demand import Demand
from fproxy.core.redaction import redact
from fproxy.core.upstream_effects import (
    Abandon,
    Confirmed,
    Effect,
    Interrupted,
    Notice,
    PastBegins,
    PastCame,
    Ready,
    Recovered,
    Recovering,
    Refused,
    Replayed,
    Send,
    Unrecoverable,
    Whole,
)
from fproxy.core.upstream_failure import UpstreamFailure
from fproxy.core.upstream_requests import shown_topics
from fproxy.core.upstream_session import UpstreamSession
from fproxy.core.weak_method import weak_method
from fproxy.shell.answer_patience import AnswerPatience
from fproxy.shell.clock import unix_ms
from fproxy.shell.link_end import LinkEnd, end_of, too_big
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.silence_watch import SilenceWatch
from fproxy.shell.upstream_answers import UpstreamAnswers
from fproxy.shell.upstream_asking import UpstreamAsking
from fproxy.shell.upstream_dial import hang_up, is_peer
from fproxy.shell.upstream_listener import UpstreamListener
from fproxy.shell.upstream_options import UpstreamOptions
from fproxy.shell.work_steps import WorkSteps, freed

P = ParamSpec("P")
R = TypeVar("R")


class UpstreamLink(WSListener):
    """One live connection, from the end of its handshake until it is lost. picows calls the ``on_ws_*``
    methods.

    Attributes:
        ready: whether the upstream takes subscriptions now.
    """

    def __init__(
        self,
        *,
        name: str,
        session: UpstreamSession,
        demand: Demand,
        listener: UpstreamListener,
        options: UpstreamOptions,
        secrets: frozenset[str],
        on_ready: Callable[[], None],
        on_refused: Callable[[int], None],
        notices: LogThrottle,
        errors: LogThrottle,
    ) -> None:
        """Prepare a link; it comes to life with ``on_ws_connected``.

        Args:
            name: what the log calls the upstream.
            session: a new session.
            demand: what to subscribe to; nothing of it is active.
            listener: takes what comes.
            options: times and limits.
            secrets: what the upstream is sent that must not be shown.
            on_ready: called once when the upstream takes subscriptions.
            on_refused: called with the number of topics that the upstream refused.
            notices: where to log what the upstream complains of.
            errors: where to log exceptions of the listener.
        """
        self.ready = False
        self._name = name
        self._session = session
        self._demand = demand
        self._listener = listener
        self._options = options
        self._secrets = secrets
        self._on_ready = on_ready
        self._on_refused = on_refused
        self._notices = notices
        self._errors = errors
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._reads: BoundedReads | None = None
        self._steps = WorkSteps(self._loop)
        self._answers = UpstreamAnswers(
            self._steps, weak_method(self._take_statuses), pause=weak_method(self._pause)
        )
        self._reader = MessageReader(
            take=listener.take,
            statuses_came=weak_method(self._answers.came),
            drained=listener.drained,
            other_frame=weak_method(self._take_other_frame),
            unsound=weak_method(self._refuse_message),
            failed=weak_method(self._report_exception),
            timer=listener.timer,
        )
        self._answers.prepare(self._reader)
        # In place of the method: frames never pass through here.
        self.on_ws_frame = self._reader.frame  # type: ignore[method-assign]
        self._fragments = bytearray()
        self._holding = False
        self._is_paused = False
        self._ending = False
        self._is_lost = False
        self._end: LinkEnd | None = None
        self._silence: SilenceWatch | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._patience = AnswerPatience(
            session,
            options.auth_wait,
            ends=weak_method(self._ends),
            carry_out=weak_method(self._carry_out),
        )
        self._asking = UpstreamAsking(
            demand,
            session,
            takes_requests=weak_method(self._takes_requests),
            carry_out=weak_method(self._carry_out),
            given_up=weak_method(self._give_up),
        )

    @property
    def messages(self) -> int:
        """How many messages have come."""
        return self._reader.messages

    @property
    def bytes_read(self) -> int:
        """How many bytes they had."""
        return self._reader.bytes_read

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done: authenticate."""
        self._transport = transport
        self._reads = BoundedReads(transport.underlying_transport, self._reader)
        self._patience.opened()
        if self._options.silence > 0:
            reader = self._reader
            self._silence = SilenceWatch(
                transport,
                self._options.silence,
                heard=lambda: reader.messages,
                silent=weak_method(self._fell_silent),
            )
        self._carry_out(self._session.opened(is_peer=is_peer(transport)))
        self._pause()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is lost."""
        self.lost(self.end(transport).text)

    def pause_writing(self) -> None:
        """The upstream reads slowly. Requests are few and small, so they simply wait."""

    def resume_writing(self) -> None:
        """The upstream has read what waited."""

    def poke(self) -> None:
        """Say upstream what has changed in the demand, soon."""
        self._asking.changed()

    def hold(self, holding: bool) -> None:
        """Read nothing for now, or read again."""
        self._holding = holding
        self._pause()

    def is_confirmed(self, topic: str) -> bool:
        """Return whether the upstream has acknowledged a topic on this connection."""
        return self._session.is_confirmed(topic)

    def lost(self, reason: str) -> None:
        """Stop everything; the connection is lost, for a ``reason``. Does nothing the second time."""
        if self._is_lost:
            return
        self._answers.take_all()  # which has come before the end
        self._is_lost = True
        if self._silence is not None:
            self._silence.stop()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._patience.stop()
        self._asking.stop()
        self._reader.at_message_start = False
        self._ending = True
        leftovers = self._session.lost(unix_ms())
        self._demand.reset(is_recoverable=self._session.is_recoverable)
        leftovers += self._demand.leftovers
        self._demand.leftovers = []
        self._steps.add(self._demand, freed(leftovers))
        if self.ready:
            self.ready = False
            self._call(self._listener.disconnected, reason)

    async def say_goodbye(self, transport: WSTransport) -> None:
        """Close the connection in order, and wait until it is closed."""
        self._ending = True
        self._reader.at_message_start = False
        self._answers.drop()
        transport.send_close(WSCloseCode.GOING_AWAY)
        await hang_up(transport, patience=self._options.close_timeout)

    def end(self, transport: WSTransport) -> LinkEnd:
        """Return why the connection ended."""
        if self._end is not None:
            return self._end
        return end_of(transport, self._secrets, self._options.max_message_size)

    def _take_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame that is not a whole message, or that comes too late."""
        kind = frame.msg_type
        if kind is not WSMsgType.PING and kind is not WSMsgType.PONG:
            self._answers.take_all()
        if kind is WSMsgType.CLOSE:
            self._ending = True
            self._reader.at_message_start = False
            if not transport.is_close_frame_sent:
                code = frame.get_close_code()
                no_code = code in (WSCloseCode.NO_INFO, WSCloseCode.ABNORMAL_CLOSURE)
                transport.send_close(WSCloseCode.OK if no_code else code)
            self._close(transport)
        elif self._ending:
            pass
        elif kind is WSMsgType.PONG:
            if self._silence is not None:
                self._silence.hear()
        elif kind is WSMsgType.PING:
            if self._silence is not None:
                self._silence.hear()
            transport.send_pong(frame.get_payload_as_bytes())
        elif (kind is WSMsgType.CONTINUATION) is self._reader.at_message_start:
            self._fail(
                LinkEnd(UpstreamFailure.PROTOCOL, "the upstream broke the protocol: a fragment out of place"),
                WSCloseCode.PROTOCOL_ERROR,
            )
        elif len(self._fragments) + frame.payload_size > self._options.max_message_size:
            self._fail(too_big(self._options.max_message_size), WSCloseCode.MESSAGE_TOO_BIG)
        else:
            self._fragments += frame.get_payload_as_memoryview()
            self._reader.at_message_start = bool(frame.fin)  # picows has it as a number
            if frame.fin:
                message = bytes(self._fragments)
                self._fragments = bytearray()
                self._reader.message(message)

    def _take_statuses(self, statuses: list[bytes]) -> None:
        if not self._ending:  # else it has been abandoned half way through
            self._carry_out(self._session.received(statuses, time.monotonic()))
            self._asking.ask_for_past()

    def _refuse_message(self, error: FrameError) -> None:
        self._call(self._listener.unsound, redact(str(error), self._secrets))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        transport = self._transport
        assert transport is not None, "only a live connection has effects"
        for effect in effects:
            match effect:
                case Send(message):
                    transport.send(WSMsgType.TEXT, message)
                case Ready():
                    self._become_ready()
                case Refused(topics, message):
                    self._take_refusal(topics, message)
                case Confirmed(topics):
                    self._demand.confirm(topics, unix_ms())
                    self._call(self._listener.confirmed, topics)
                case Whole(recovered):
                    self._call(self._listener.whole, recovered=recovered)
                case Recovering():
                    self._demand.recovering(
                        is_complete=effect.is_complete and not effect.is_fresh,
                        all_of=effect.all_of,
                        gap_ahead=effect.gap_ahead,
                    )
                    self._call(self._listener.recovering, effect)
                case Recovered():
                    self._demand.recovered()
                    self._call(self._listener.recovered)
                case Replayed(topics, is_complete):
                    self._demand.replayed(topics, is_complete=is_complete, now=unix_ms())
                case PastBegins():
                    self._demand.past.begins()
                case PastCame(is_complete):
                    self._demand.past_came(is_complete=is_complete)
                    self.poke()
                case Unrecoverable():
                    self._demand.unrecoverable()
                    self._call(self._listener.unrecoverable)
                case Interrupted(reason):
                    self._notices.log("%s misses events of every topic: %s", self._name, reason)
                    self._call(self._listener.interrupted, reason)
                case Notice(text):
                    self._notices.log("%s %s", self._name, text)
                case Abandon(failure, text):
                    self._fail(LinkEnd(failure, text), WSCloseCode.OK)

    def _become_ready(self) -> None:
        self.ready = True
        self._on_ready()
        self._call(self._listener.connected)
        self._asking.say()
        self._patience.ready(is_peer=self._transport is not None and is_peer(self._transport))

    def _take_refusal(self, topics: tuple[str, ...], message: str) -> None:
        self._notices.log("%s refused %s: %s", self._name, shown_topics(topics), message)
        self._on_refused(len(topics))
        self._demand.refuse(topics, message)
        self._call(self._listener.refused, topics, message)
        # What a refused wildcard was to cover has to be asked for by name.
        self.poke()

    def _ends(self) -> bool:
        return self._ending

    def _takes_requests(self) -> bool:
        return self.ready and not self._ending

    def _give_up(self, topics: Sequence[str]) -> None:
        self._call(self._listener.given_up, topics)

    def _fell_silent(self) -> None:
        text = f"silent: not a byte, not even the answer to a ping, within {self._options.silence:g} s"
        self._fail(LinkEnd(UpstreamFailure.SILENT, text), WSCloseCode.GOING_AWAY, at_once=True)

    def _fail(self, end: LinkEnd, code: WSCloseCode, *, at_once: bool = False) -> None:
        """End the connection from this side.

        Args:
            end: why.
            code: the close code to send.
            at_once: do not wait until what was sent has been taken.
        """
        transport = self._transport
        if self._ending or transport is None:
            return
        self._end = end
        self._ending = True
        self._reader.at_message_start = False
        self._answers.drop()
        transport.send_close(code)
        if at_once:
            transport.disconnect(False)
        else:
            self._close(transport)

    def _pause(self) -> None:
        """Read from the socket, or read nothing more for now."""
        is_paused = self._holding or self._answers.waiting
        if self._transport is None or self._is_lost or is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        if self._silence is not None:
            self._silence.hold(is_paused)
        if self._reads is not None:
            self._reads.hold(is_paused)
        underlying = self._transport.underlying_transport
        if underlying.is_closing():
            pass
        elif is_paused:
            underlying.pause_reading()
        else:
            underlying.resume_reading()

    def _close(self, transport: WSTransport) -> None:
        """Close the socket once all is sent, or after a while."""
        transport.disconnect()
        if self._abort_timer is None:
            self._abort_timer = self._loop.call_later(
                self._options.close_timeout, transport.disconnect, False
            )

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call the listener; an exception is logged and gives None."""
        try:
            return function(*args, **kwargs)
        except Exception:
            self._report_exception("it may have missed something")
            return None

    def _report_exception(self, consequence: str) -> None:
        """Log the exception that the listener raised."""
        self._errors.log(
            "The listener to %s raised an exception; %s\n%s", self._name, consequence, traceback.format_exc()
        )
