"""What a session with an upstream asks of its connection: values, to be carried out in order."""

from dataclasses import dataclass

from fproxy.core.upstream_failure import UpstreamFailure


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text message.

    Attributes:
        message: a JSON object; it may hold the key.
    """

    message: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The upstream takes subscriptions from now on; this comes once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The upstream refused topics.

    Attributes:
        topics: which ones.
        message: what it said, cut short.
    """

    topics: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The upstream acknowledged topics: their events come from now on.

    Attributes:
        topics: which ones.
    """

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """Every event that was asked for comes from now on. This comes once, and again after each ``Interrupted``.

    Attributes:
        recovered: whether what came since the stream was last whole has been brought after all.
    """

    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The upstream says that it misses events itself, until ``Whole`` comes.

    Attributes:
        reason: what it said, cut short.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Recovering:
    """What follows, until ``Recovered``, is what was missed; or what the upstream keeps, for who begins with it.

    Attributes:
        is_complete: whether, with it, nothing is missing.
        is_fresh: whether this is what the session's owner begins with.
        complete_from: then, from when on nothing is missing, in Unix milliseconds.
        all_of: the event types of which the upstream sends everything, whatever is subscribed to.
        complete_at: from the message of this number on nothing is missing.
        gap_ahead: whether that is not the first one that follows.
    """

    is_complete: bool
    is_fresh: bool = False
    complete_from: int = 0
    all_of: tuple[str, ...] = ()
    complete_at: int = 0
    gap_ahead: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """All that could be recovered has come: what follows is live."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The upstream has brought what has passed of topics, for which it was asked with them.

    Attributes:
        topics: which.
        is_complete: whether it was all there was since the time asked for.
    """

    topics: tuple[str, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class PastBegins:
    """What follows, until ``PastCame``, has passed: what was asked for of topics that flow already."""


@dataclass(frozen=True, slots=True)
class PastCame:
    """The upstream has brought that.

    Attributes:
        is_complete: whether it was all there was since the time asked for.
    """

    is_complete: bool


@dataclass(frozen=True, slots=True)
class Unrecoverable:
    """What was missed stays missing: this upstream does not keep it, or does not say where it stands."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an operator should see.

    Attributes:
        text: a phrase for the log.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Close the connection; the session is over.

    Attributes:
        failure: why, as metrics name it.
        text: the same for people, with what the upstream said.
    """

    failure: UpstreamFailure
    text: str


Effect = (
    Send
    | Ready
    | Refused
    | Confirmed
    | Whole
    | Interrupted
    | Recovering
    | Recovered
    | Replayed
    | PastBegins
    | PastCame
    | Unrecoverable
    | Notice
    | Abandon
)
"""What a session asks of its connection."""
