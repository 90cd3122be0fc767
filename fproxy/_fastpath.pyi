"""The compiled fast path: from upstream messages to the bytes written to clients.

*Scan* finds the events of a message, each with its type and symbol, without decoding it. *Match* finds the audiences
that take an event: one lookup. *Collect* copies the event's bytes, as they came, into the buffer of each audience.
*Flush* writes what was collected, one WebSocket message (or more, when it grows long) an audience.

Nothing here does I/O: bytes go in, and come out through the sinks that clients were added with.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from typing_extensions import Buffer

from fproxy.core.scanned_event import ScannedEvent
from fproxy.core.topics import Topic

DEFAULT_MAX_MESSAGE: Final[int]
"""The longest message assembled, in bytes of payload, unless a single event is longer: 256 KiB."""

DEFAULT_MAX_BROADCAST: Final[int]
"""The longest message broadcast as it came, in bytes of payload: 256 KiB, a quarter of what clients accept."""

class ReentrancyError(RuntimeError):
    """A sink, while it was written to, fed, flushed or changed the ``Fanout`` or ``Broadcast`` that writes to it.

    The call has no effect: it would change the bytes and the clients that are still to be written to.
    """

class FrameError(ValueError):
    """A message is not sound JSON (RFC 8259), or neither an object nor an array. The text says where, and quotes it."""

class Sink(Protocol):
    """Where a client's data is written to."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """Take complete server-side WebSocket frames (RFC 6455, section 5.2), ready for the client's transport.

        The clients of an audience get the same object. It must not call back into the fan-out. What it raises is
        logged, and harms no other client.
        """

class FrameSink:
    """A compiled sink, written to without a Python object; see ``_fastpath.pxd``."""

    @property
    def events_written(self) -> int:
        """How many events of upstreams were written to it; what a broadcast sends once more does not count."""

    @property
    def notices_written(self) -> int:
        """How many events were written to it that a program published itself."""

    @property
    def bytes_written(self) -> int:
        """How many bytes of frames they have written."""

class MessageSink:
    """A compiled taker of one upstream's messages, which needs no Python object of them; see ``_fastpath.pxd``."""

    def __call__(self, payload: Buffer) -> list[bytes] | None:
        """Take one whole message, as :meth:`Fanout.feed` does."""

class History:
    """The messages of the last while, whole, by number: one copy a message, no work an event.

    Args:
        max_bytes: the most memory, in bytes.
        span_ms: the greatest age of a message, in milliseconds.

    Raises:
        ValueError: one of them is not positive.
    """

    def __init__(self, *, max_bytes: int, span_ms: int) -> None: ...
    def append(self, source: int, payload: Buffer, *, now: int, is_live: bool = True) -> None:
        """Keep a message.

        Args:
            source: the upstream's number.
            payload: the whole message, sound JSON.
            now: the time, in Unix milliseconds.
            is_live: whether clients get it as it comes, too.
        """

    def trim(self, now: int) -> None:
        """Forget what is too old at a time, in Unix milliseconds; this also happens with every message."""

    def received_from(self, time: int) -> int:
        """Return the number of the first message received at a time or later, in Unix milliseconds."""

    def messages(self, start: int) -> list[tuple[int, int, bytes]]:
        """Return the messages from a number on, each with its source and when it was received, in Unix milliseconds."""

    def hot_topics(
        self, *, max_bytes: int, since: int, limit: int
    ) -> tuple[list[tuple[str, str, int, int]], int | None]:
        """Count the events of the newest messages by type, symbol and source; it is done when asked for, and only then.

        Millisecond bars of the forms that do not name their interval are left out.

        Args:
            max_bytes: about how much is looked at, in bytes of messages: a megabyte takes some milliseconds.
            since: no message received before that is looked at, in Unix milliseconds.
            limit: the most that are returned.

        Returns:
            the type, the symbol, the source and the number of events of those with most events, the most first; when
            the oldest message that was looked at was received, in Unix milliseconds, None without any.
        """

    @property
    def first(self) -> int:
        """The number of the oldest message that is kept."""

    @property
    def next(self) -> int:
        """The number of the next message to come."""

    @property
    def complete_from(self) -> int:
        """Every message received at this time or later is kept, in Unix milliseconds; 0 while none is missing."""

    @property
    def bytes(self) -> int:
        """The memory that it takes now."""

class Snapshots:
    """The last event of each topic, whether or not anybody is subscribed to it.

    A ``Fanout`` that is given it keeps every event in it that counts (``Fanout.set_sources``) and has a type and a
    symbol; a millisecond bar without a type of its own goes by its interval. When its memory is full, the topics that
    were updated longest ago are evicted.

    Args:
        max_bytes: the most memory, in bytes, what is needed to find the events included.

    Raises:
        ValueError: it is not positive.
    """

    def __init__(self, *, max_bytes: int) -> None: ...
    def read(
        self,
        topics: Iterable[tuple[str, str]],
        *,
        before: int,
        replayed_from: int | None = None,
        replayed_since: int = 0,
    ) -> tuple[bytes, int]:
        """Return the last events of topics, without those that a reader has got in another way.

        Args:
            topics: pairs of event type and symbol, in the spelling of events; no wildcards.
            before: leave out events of messages from this number on: they reach the reader live.
            replayed_from: leave out events that a replay has brought: those of messages from this number on whose own
                time is ``replayed_since`` or later; None for no replay.
            replayed_since: that time, in Unix milliseconds; an event without one has the time when it was received.

        Returns:
            WebSocket frames with JSON arrays of the events as they came, empty for none; and how many events.
        """

    def read_under(
        self,
        wildcard: tuple[str, str],
        start: int,
        *,
        before: int,
        replayed_from: int | None = None,
        replayed_since: int = 0,
    ) -> tuple[bytes, int, int | None]:
        """Return a bounded piece of the last events of all topics under a wildcard.

        What comes or is evicted between two pieces changes nothing for other topics.

        Args:
            wildcard: a type with the symbol ``*``, or with the beginning of a symbol and a ``*``; or ``*`` twice, for
                everything but millisecond bars.
            start: where to begin: 0, or what the piece before this one returned.
            before: as for :meth:`read`, as are the others.
            replayed_from: see there.
            replayed_since: see there.

        Returns:
            frames and a number of events, as :meth:`read`; and where to go on, None when nothing is left.
        """

    @property
    def next(self) -> int:
        """The number of the next message that comes with market events."""

    @property
    def topics(self) -> int:
        """How many topics have an event here now."""

    @property
    def evicted(self) -> int:
        """How many topics were evicted to make room for others, over all time."""

    @property
    def bytes(self) -> int:
        """The memory that it takes now."""

class Fanout:
    """Distributes the events of up to 32 upstreams to clients by their subscriptions.

    Clients whose subscriptions are equal form one audience: its messages are assembled once. Every method that changes
    subscriptions flushes first, so that what a client is sent before the change obeys the subscriptions before it.

    Args:
        max_message: the longest message assembled, in bytes of payload, unless a single event is longer.
        history: keeps every message that has market events; None for no history.
        snapshots: keeps the last event of each topic; None for no snapshots.
        event_topics: returns what a client's topic is in the spelling of its events, one topic or several, always the
            same; None where the two are spelled alike.
    """

    def __init__(
        self,
        *,
        max_message: int = ...,
        history: History | None = None,
        snapshots: Snapshots | None = None,
        event_topics: Callable[[Topic], Iterable[tuple[str, str]]] | None = None,
    ) -> None: ...
    def set_sources(self, event_type: str, sources: Iterable[int]) -> None:
        """Count events of a type only when they come from these upstreams.

        Two upstreams may send the same event: a firehose that broadcasts everything, and an aggregator that forwards
        it. Types never named here count from any upstream.

        Args:
            event_type: such as ``T``; ``Ms`` stands for every millisecond bar, whatever its interval and form.
            sources: the numbers that :meth:`feed` is called with.
        """

    def add_client(self, sink: Sink | FrameSink) -> int:
        """Add a client without subscriptions.

        Args:
            sink: where to write what the client gets.

        Returns:
            the client's number: one that no other client has.
        """

    def remove_client(self, client: int) -> None:
        """Forget a client and its subscriptions. Raises KeyError when there is no such client."""

    def mute(self, client: int) -> None:
        """Write nothing to a client from now on, whatever it is subscribed to; what was collected is written before.

        Args:
            client: the client's number. KeyError when there is no such client.
        """

    def unmute(self, client: int) -> None:
        """Write to a client again what is collected from now on; it takes no time, however many topics it has."""

    def may_take_long(self, client: int, topics: Iterable[tuple[str, str]]) -> bool:
        """Return whether a client's change may take long, and so is to be prepared; seldom. Arguments as below."""

    def prepare_to_subscribe(self, client: int, topics: Iterable[tuple[str, str]]) -> bool:
        """Do a bounded piece of what :meth:`subscribe` would have to do at once else.

        That is to copy what a client shares with others, when it is very much, and to change the rows of very many
        topics for a wildcard. Nothing changes for anybody before :meth:`subscribe` is called with the same topics.

        Args:
            client: the client's number. KeyError when there is no such client.
            topics: as for :meth:`subscribe`.

        Returns:
            whether more is to be done beforehand.
        """

    def prepare_to_unsubscribe(self, client: int, topics: Iterable[tuple[str, str]]) -> bool:
        """Do likewise for :meth:`unsubscribe`."""

    def subscribe(self, client: int, topics: Iterable[tuple[str, str]]) -> None:
        """Give a client topics; those it has already change nothing.

        Args:
            client: the client's number. KeyError when there is no such client.
            topics: pairs of event type and symbol (:class:`fproxy.core.topics.Topic` is one). The symbol ``*`` is the
                type's wildcard; the type ``*`` is everything but millisecond bars.
        """

    def unsubscribe(self, client: int, topics: Iterable[tuple[str, str]]) -> None:
        """Take topics from a client; those it does not have change nothing. Arguments as for :meth:`subscribe`."""

    def settle(self) -> bool:
        """Do a bounded piece of what changes of subscriptions have left to do; to be called now and then.

        Clients that are gone, or have moved to another audience, may leave many topics behind; and audiences may have
        become equal while their subscriptions changed quickly. Returns whether something is left.
        """

    def input(self, source: int) -> FanoutInput:
        """Return what takes the messages of one upstream, as :meth:`feed` does, without Python objects.

        Args:
            source: the upstream's number, 0 to 31.
        """

    def feed(self, source: int, payload: Buffer) -> list[bytes] | None:
        """Take in one upstream message.

        Args:
            source: the upstream's number, 0 to 31.
            payload: the whole message: JSON text, an array of events or a single event. Not kept.

        Returns:
            the message's status events (``{"ev":"status",...}``), which no client gets; None when it has none.

        Raises:
            FrameError: the message is refused whole; nothing of it reaches anybody.
        """

    def replay(
        self,
        history: History,
        start: int,
        stop: int,
        *,
        since: int = 0,
        live_only: bool = False,
        max_bytes: int,
    ) -> int:
        """Take in kept messages once more, and flush: for a fan-out of the one client that they are for.

        Args:
            history: has the messages.
            start: the number of the first.
            stop: the number behind the last.
            since: pass over events whose own time is before it, in Unix milliseconds (:func:`event_time_ms`; the time
                that the message was received for an event that has none); 0 for none.
            live_only: pass over messages that clients did not get when they came.
            max_bytes: about how much to take in one call, in bytes of messages.

        Returns:
            the number to go on with. What has been forgotten in the meantime is passed over.
        """

    def publish(self, topic: tuple[str, str], event: bytes) -> None:
        """Collect an event of our own for the clients that have a topic, behind what has been collected before.

        Args:
            topic: a pair as for :meth:`subscribe`. One that no upstream's event can have reaches just those that were
                given it, and those on ``*``.
            event: a sound JSON object.
        """

    def data_messages(self, source: int) -> int:
        """Return how many messages with market events have come from an upstream.

        Args:
            source: the upstream's number, 0 to 31. ValueError when it is not.
        """

    def last_event(self, source: int) -> bytes | None:
        """Return the last event that came from an upstream, byte for byte; None when none has.

        Args:
            source: the upstream's number, 0 to 31. ValueError when it is not.
        """

    def flush(self) -> None:
        """Write what has been collected to every member of every audience that has something."""

    @property
    def has_pending(self) -> bool:
        """Whether a flush would write something."""

    @property
    def topic_bytes(self) -> int:
        """How much memory the tables of topics take, in bytes."""

    @property
    def events_in(self) -> int:
        """Events taken in, status events among them."""

    @property
    def events_collected(self) -> int:
        """Events that at least one client took."""

    @property
    def deliveries(self) -> int:
        """Events written, once for each client that got them."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of frames written, likewise."""

    @property
    def exact_messages(self) -> int:
        """Messages that needed the exact scanner."""

    @property
    def audiences(self) -> int:
        """Audiences now: distinct sets of subscriptions."""

    @property
    def exact_topics(self) -> int:
        """Distinct topics with a symbol that clients have now."""

class FanoutInput(MessageSink):
    """What takes the messages of one upstream.

    Attributes:
        is_live: whether clients get the events; else the messages are kept only, as those that came before.
        keeps_all: whether messages are kept whole; else of each just the events that count.
        source: what the fan-out calls what comes next, from 0 to 31.
    """

    is_live: bool
    keeps_all: bool
    source: int

    def leave_out(self, history: History, start: int) -> None:
        """Leave out, from now on, what this upstream repeats of the events that are kept from a message on.

        Args:
            history: has the messages.
            start: the number of the first.
        """

    def take_all(self) -> None:
        """Leave nothing out any more."""

class Broadcast(MessageSink):
    """Passes one upstream's messages on to every client: each as it came, framed once for all.

    A message that holds status events, or is longer than ``max_message``, is made anew of its other events, split
    between events.

    Args:
        max_message: the longest message passed on, in bytes of payload, unless a single event is longer.
        history: keeps every message that goes out, as it goes out; None for no history.
    """

    def __init__(self, *, max_message: int = ..., history: History | None = None) -> None: ...
    def add_client(self, sink: Sink | FrameSink) -> None:
        """Add a client, which gets what comes from now on."""

    def remove_client(self, sink: Sink | FrameSink) -> None:
        """Forget a client. Raises KeyError when there is no such client."""

    def feed(self, payload: Buffer) -> list[bytes] | None:
        """Take in one upstream message; see :meth:`Fanout.feed`. Raises FrameError."""

    def publish(self, payload: bytes) -> None:
        """Send every client a message of our own, behind what has come; it is not kept.

        Args:
            payload: the whole message, a JSON array.
        """

    def replay(self, history: History, start: int, stop: int, *, max_bytes: int) -> int:
        """Send kept messages once more, as they went out before; see :meth:`Fanout.replay`."""

    def last_event(self) -> bytes | None:
        """Return the last event that came, byte for byte; None when none has."""

    def flush(self) -> None:
        """Write the messages that came since the last time to every client."""

    @property
    def deliveries(self) -> int:
        """Events written, once for each client that got them."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of frames written, likewise."""

    @property
    def events_in(self) -> int:
        """Events taken in, status events among them."""

    @property
    def data_messages(self) -> int:
        """How many messages with market events have come."""

def scan(payload: Buffer, *, path: str | None = None) -> list[ScannedEvent]:
    """Return what the scanner finds in a message, as Python objects.

    Args:
        payload: as for :meth:`Fanout.feed`.
        path: one of :func:`available_scan_paths`; by default the first.

    Raises:
        FrameError: the message is not sound.
        ValueError: this machine has no such path.
    """

def buffer_bytes() -> int:
    """Return how much memory this process has for what is about to be written, in bytes: in use and kept for later."""

def event_time_ms(event: Buffer) -> int | None:
    """Return an event's own time in Unix milliseconds: the end of a bar's window (``e``, else ``s``), or ``t``.

    The unit is told by the size of the number: the vendor's own samples give one key in three units.

    Args:
        event: one event, a JSON object.

    Returns:
        the time; None when the event has none, or none that is a positive whole number.

    Raises:
        FrameError: it is not sound JSON.
    """

def available_scan_paths() -> list[str]:
    """Return the ways to scan that this machine has, the one in use first.

    ``avx2`` or ``neon``: the compact scanner, and the exact one for what that does not vouch for. ``exact``: the exact
    one alone, in portable C++, as on machines that have neither.
    """
