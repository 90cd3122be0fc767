"""What clients that lag get in place of what came meanwhile, against an oracle that decodes JSON."""

import asyncio
import json
import time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fproxy._fastpath import Fanout
from fproxy._socket_writer import TRANSPORT_BYTES, BacklogPool, SocketWriter
from fproxy.core.frames import PING_FRAME, text_frame
from fproxy.core.topics import Topic, parse_topic

BARS: Final = ("A", "AM", "XA", "CAS", "100Ms")
KEPT: Final = (*BARS, "LULD", "status")
REPLACED: Final = ("Q", "XQ", "C", "XL2", "NOI", "FMV", "LV", "V")
DROPPED: Final = ("T", "XT", "NEW")
SYMBOL_KEYS: Final = {
    **dict.fromkeys(("LULD", "NOI", "V"), "T"),
    **dict.fromkeys(("XT", "XQ", "XL2", "XA", "CAS"), "pair"),
    "C": "p",
}
TYPES: Final = (*KEPT[:-1], *REPLACED, *DROPPED)
SYMBOLS: Final = ("A", "BRK.B", 'odd"one', "A-LONG-SYMBOL-OF-AN-OPTION")

CLOCK_STEP: Final = 0.012
"""More than a step of the coarse clock by which backlogs age, in seconds."""

Event = dict[str, Any]


class SwitchableTransport(asyncio.Transport):
    """Takes everything, or nothing; never says by itself that it takes more."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.received = b""

    def get_write_buffer_size(self) -> int:
        return TRANSPORT_BYTES if self.full else 0

    def write(self, data: Any) -> None:
        self.received += data

    def abort(self) -> None:
        raise AssertionError("the connection was dropped")


class Oracle:
    """What a client should have got."""

    def __init__(self, policy: str) -> None:
        self.conflates = policy == "conflate"
        self.got: list[Event] = []
        self.waiting: list[Event] = []
        self.waits = False  # something does, if only a ping
        self.held: list[Event] | None = None
        self.dropped = self.replaced = 0

    def data(self, events: list[Event], *, full: bool) -> None:
        if self.held is not None:
            self.held += events
        elif full or self.waits:
            self.waits = True
            self.waiting += events
        else:
            self.got += events

    def ping(self, *, full: bool) -> None:
        self.waits = self.waits or full

    def reply(self, event: Event, *, full: bool) -> None:
        self.let_go()
        self.data([event], full=full)

    def lag(self) -> None:
        if self.waits and self.held is None:
            self.held = []

    def drain(self) -> None:
        self.let_go()
        self.got += self.waiting
        self.waiting = []
        self.waits = False

    def let_go(self) -> None:
        if self.held is None:
            return
        held, self.held = self.held, None
        kept: list[Event] = []
        dropped: list[Event] = []
        for index, event in enumerate(held):
            later = [topic_of(other) for other in held[index + 1 :]]
            if event["ev"] == "status" or (
                self.conflates and (event["ev"] in KEPT or topic_of(event) not in later)
            ):
                kept.append(event)
            elif self.conflates and event["ev"] in REPLACED:
                self.replaced += 1
            else:
                dropped.append(event)
        if dropped:
            self.dropped += len(dropped)
            times = [event[time_key(event["ev"])] for event in dropped]
            self.waiting.append(
                {"status": "dropped", "events": len(dropped), "from": min(times), "to": max(times)}
            )
        self.waiting += kept


def topic_of(event: Event) -> tuple[str, str]:
    return event["ev"], event.get(SYMBOL_KEYS.get(event["ev"], "sym"), "")


def time_key(event_type: str) -> str:
    return "e" if event_type in BARS else "t"


def messages(data: bytes) -> list[bytes]:
    found = []
    while data:
        header = {126: 4, 127: 10}.get(data[1], 2)
        size = data[1] if header == 2 else int.from_bytes(data[2:header])
        if data[0] == 0x81:
            found.append(data[header : header + size])
        data = data[header + size :]
    return found


def shown(event: Event) -> Event:
    """An event without the text of a notice, which is for people."""
    if event.get("status") == "dropped":
        assert str(event["events"]) in event["message"]
        return {key: event[key] for key in ("status", "events", "from", "to")}
    return event


events = st.tuples(st.sampled_from(TYPES), st.sampled_from(SYMBOLS), st.integers(0, 10**6))
steps = st.one_of(
    st.tuples(st.just("data"), st.lists(events, min_size=1, max_size=6)),
    st.tuples(st.sampled_from(("notice", "reply", "ping", "stall", "lag", "drain")), st.integers(0, 9)),
)


@pytest.mark.parametrize("policy", ["drop", "conflate"])
@settings(max_examples=80, deadline=None)
@given(script=st.lists(steps, max_size=40))
def test_a_client_gets_what_the_policy_says(policy: str, script: list[tuple[str, Any]]) -> None:
    transport, pool, oracle = SwitchableTransport(), BacklogPool(max_bytes=1 << 30), Oracle(policy)
    writer = SocketWriter(transport, pool, loop=None, max_bytes=1 << 20, too_slow=pytest.fail)  # type: ignore[arg-type]
    writer.use_policy(policy, max_bytes=1 << 20)
    fanout = Fanout()
    fanout.subscribe(fanout.add_client(writer), [parse_topic(f"{name}.*") for name in TYPES])
    fanout.subscribe(0, [Topic("our own", "notices")])
    for number, (what, detail) in enumerate(script):
        match what:
            case "data":
                made = [
                    {
                        "ev": name,
                        SYMBOL_KEYS.get(name, "sym"): symbol,
                        time_key(name): 1_700_000_000_000 + time,
                        "n": number,
                    }
                    for name, symbol, time in detail
                ]
                fanout.feed(0, json.dumps(made).encode())
                fanout.flush()
                oracle.data(made, full=transport.full)
            case "notice":
                status = {"ev": "status", "status": "notice", "n": number}
                fanout.publish(("our own", "notices"), json.dumps(status).encode())
                fanout.flush()
                oracle.data([status], full=transport.full)
            case "reply":
                status = {"ev": "status", "status": "success", "n": number}
                writer.write(text_frame(json.dumps([status]).encode()))
                oracle.reply(status, full=transport.full)
            case "ping":
                writer.write(PING_FRAME)
                oracle.ping(full=transport.full)
            case "stall":
                transport.full = True
            case "lag":
                time.sleep(CLOCK_STEP)
                pool.evict_lagging(0.0)
                oracle.lag()
            case "drain":
                transport.full = False
                writer.resume()
                oracle.drain()
    transport.full = False
    writer.resume()
    oracle.drain()
    got = [shown(event) for message in messages(transport.received) for event in json.loads(message)]
    assert got == oracle.got
    assert (pool.dropped_events, pool.replaced_events) == (oracle.dropped, oracle.replaced)
    assert (pool.bytes, pool.waiting_bytes, pool.lagging) == (0, 0, 0)
