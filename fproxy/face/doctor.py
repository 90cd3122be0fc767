"""``fproxy check``: what works and what does not, in plain words, before or after something went wrong.

It reads the settings that a command would read, looks at this machine, and connects to each upstream as the command
would. An account's one connection is left alone while a program on this machine has it.
"""

import asyncio
import contextlib
import enum
import errno
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fproxy.core.redaction import redact
from fproxy.core.urls import redacted_url, url_secrets
from fproxy.face.supervisor import accepts

PATIENCE: Final = 10.0
"""Seconds that connecting, and the answer to auth, may each take."""

EVICTION_WAIT: Final = 1.0
"""Seconds to wait after a good answer to auth: a vendor says then that another program has the connection."""

CLOCK_TOLERANCE: Final = 3.0
"""Seconds that this machine's clock may differ from a server's, which tells its time to the second."""

FEW_FILES: Final = 4096
"""With fewer files than these a server is short of them when many clients come."""

OWN_FILES: Final = 64
"""How many files a role needs for all else than clients."""


class Verdict(enum.Enum):
    """What becomes of a check; the value is what is printed."""

    GOOD = "ok"
    DOUBTFUL = "warning"
    BAD = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        verdict: whether it is as it should be.
        text: what was found, and what to do about it; one line, without secrets.
    """

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUpstream:
    """An upstream to connect to.

    Attributes:
        name: what to call it.
        market: the market, such as ``stocks``.
        url: its URL.
        is_vendor: whether an account may have one connection there.
    """

    name: str
    market: str
    url: str
    is_vendor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """What to look at.

    Attributes:
        command: the command that would be run.
        host: the address that it would listen on.
        port: the port; 0 for one that the system chooses.
        max_clients: the most connections; None for as many as there may be files.
        api_key: the key to authenticate upstream with; empty for none.
        upstreams: what it would connect to.
        holder_port: the port of the program that has the vendor's connection, if it runs; 0 for none.
    """

    command: str
    host: str
    port: int
    max_clients: int | None
    api_key: str
    upstreams: Sequence[CheckedUpstream]
    holder_port: int = 0


async def check(plan: CheckPlan) -> AsyncIterator[Finding]:
    """Give what is found, as it is found."""
    yield _files(plan.max_clients)
    yield await _port(plan)
    yield _key(plan)
    held = plan.holder_port and await accepts("127.0.0.1", plan.holder_port)
    for upstream in plan.upstreams:
        if upstream.is_vendor and held:
            yield Finding(
                Verdict.DOUBTFUL,
                f"{upstream.name} ({upstream.market}): not tried, as a program serves port {plan.holder_port} here and "
                "may have the one connection that the account is allowed; stop it to try",
            )
            continue
        async for finding in check_upstream(upstream, plan.api_key):
            yield finding


async def check_upstream(upstream: CheckedUpstream, api_key: str) -> AsyncIterator[Finding]:
    """Resolve, connect, look at the clock, and authenticate."""
    parts = urlsplit(upstream.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    secrets = (*url_secrets(upstream.url), api_key)
    label = f"{upstream.name} ({upstream.market})"
    shown = redacted_url(upstream.url)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        yield Finding(
            Verdict.BAD, f"{label}: the name {host} cannot be resolved; is it right, and does DNS work here?"
        )
        return
    try:
        connection = await connect(
            upstream.url, open_timeout=PATIENCE, ping_interval=None, max_size=None, max_queue=None
        )
    except (OSError, InvalidHandshake, ValueError) as error:
        yield Finding(
            Verdict.BAD, f"{label}: {shown}: {redact(_why_not_connected(error, host, port), secrets)}"
        )
        return
    try:
        yield Finding(Verdict.GOOD, f"{label}: connected to {shown}")
        if (clock := _clock(connection)) is not None:
            yield clock
        verdict, text = await _authenticate(connection, api_key)
        yield Finding(verdict, f"{label}: {redact(text, secrets)}")
    finally:
        with contextlib.suppress(Exception):
            await connection.close()


async def _authenticate(connection: ClientConnection, api_key: str) -> tuple[Verdict, str]:
    """Return what came of authenticating."""
    try:
        await connection.send(json.dumps({"action": "auth", "params": api_key}))
        answer = await _first_status(
            connection, ("auth_success", "auth_failed", "max_connections", "auth_timeout"), PATIENCE
        )
        if answer is not None and answer[0] == "auth_success":
            answer = await _first_status(connection, ("max_connections",), EVICTION_WAIT) or answer
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd is not None else 1006
        return Verdict.BAD, f"it closed the connection with code {code} instead of answering auth"
    if answer is None:
        return (
            Verdict.DOUBTFUL,
            f"it did not answer auth within {PATIENCE:g} s; some servers do not, and work all the same",
        )
    status, message = answer
    if status == "auth_success":
        return Verdict.GOOD, "the key is accepted"
    if status == "max_connections":
        return (
            Verdict.BAD,
            "another program has the one connection that the account is allowed for this market; stop it, or have it "
            f"connect to an fproxy firehose (it says: {message})",
        )
    if "plan" in message.lower():
        return (
            Verdict.BAD,
            f"the key is right, but its plan does not include this market (it says: {message})",
        )
    if status == "auth_timeout":
        return (
            Verdict.BAD,
            f"it saw no authentication; is something between that holds it back? (it says: {message})",
        )
    return Verdict.BAD, f"the key is refused; POLYGON_API_KEY must be the right one (it says: {message})"


async def _first_status(
    connection: ClientConnection, wanted: Iterable[str], seconds: float
) -> tuple[str, str] | None:
    """Return the first of some statuses that comes in time, with its text; the last one of a message counts."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                found = [status for status in _statuses(await connection.recv()) if status[0] in wanted]
                if found:
                    return found[-1]
    return None


def _statuses(message: str | bytes) -> list[tuple[str, str]]:
    try:
        events = json.loads(message)
    except ValueError:
        return []
    return [
        (str(event.get("status")), str(event.get("message", "")))
        for event in (events if isinstance(events, list) else [events])
        if isinstance(event, dict) and event.get("ev") == "status"
    ]


def _why_not_connected(error: Exception, host: str, port: int) -> str:
    match error:
        case TimeoutError():
            return f"no connection within {PATIENCE:g} s; is a firewall between?"
        case ConnectionRefusedError():
            return f"nothing listens on port {port} of {host}; is the program there running?"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}; is this machine's clock right?"
        case ssl.SSLError():
            return "the TLS handshake failed; is it a wss:// server?"
        case InvalidStatus(response=response):
            return f"it answered HTTP {response.status_code} instead of a WebSocket; is the path right?"
        case InvalidHandshake():
            return "it is no WebSocket server"
        case OSError():
            return (error.strerror or str(error) or type(error).__name__).lower()
        case _:
            return str(error)


def _clock(connection: ClientConnection) -> Finding | None:
    """Compare this machine's clock with the server's, which its handshake tells; None where it does not."""
    date = connection.response.headers.get("Date") if connection.response is not None else None
    try:
        server = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    difference = time.time() - server
    if (
        -CLOCK_TOLERANCE <= difference <= CLOCK_TOLERANCE + 1
    ):  # the server leaves out the fraction of a second
        return Finding(Verdict.GOOD, "this machine's clock agrees with the server's")
    way = "ahead of" if difference > 0 else "behind"
    return Finding(
        Verdict.BAD,
        f"this machine's clock is {abs(difference):.0f} s {way} the server's: bars would close at the wrong time; "
        "synchronize it (NTP)",
    )


def _files(max_clients: int | None) -> Finding:
    """Look at how many files the process may open, once it has raised its limit as far as it may."""
    try:
        import resource
    except ImportError:
        return Finding(Verdict.GOOD, "this system has no limit of open files that could be told")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return Finding(Verdict.GOOD, "the process may open any number of files")
    room = hard - OWN_FILES
    if max_clients is not None and room < max_clients:
        return Finding(
            Verdict.BAD,
            f"the process may open {hard} files, too few for {max_clients} clients (FPROXY_MAX_CLIENTS); raise the "
            "hard limit (ulimit -Hn, LimitNOFILE=)",
        )
    if hard < FEW_FILES:
        return Finding(
            Verdict.DOUBTFUL,
            f"the process may open {hard} files, which is room for {max(room, 0)} clients; raise the hard limit "
            "(ulimit -Hn, LimitNOFILE=) if more may come",
        )
    return Finding(Verdict.GOOD, f"the process may open {hard} files: room for {room} clients")


async def _port(plan: CheckPlan) -> Finding:
    """Look whether the port is free."""
    if plan.port == 0:
        return Finding(Verdict.GOOD, "the system will choose a free port")
    where = f"port {plan.port} of {plan.host}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _name, address in found:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Finding(
                Verdict.DOUBTFUL,
                f"{where} is in use: fproxy {plan.command} runs already, or another program has it",
            )
        return Finding(
            Verdict.BAD, f"{where} cannot be listened on: {(error.strerror or str(error)).lower()}"
        )
    return Finding(Verdict.GOOD, f"{where} is free")


def _key(plan: CheckPlan) -> Finding:
    if plan.api_key:
        return Finding(Verdict.GOOD, "POLYGON_API_KEY is set")
    return Finding(
        Verdict.DOUBTFUL, "POLYGON_API_KEY is not set; a simulated market takes any, the vendor none"
    )
