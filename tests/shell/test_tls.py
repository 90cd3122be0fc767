"""``wss://`` for clients: who gets through, what is limited before the handshake, and certificates that change."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from aiofastnet import constants
from proxy_headers import version_1, version_2
from server_harness import KEY, UPGRADE, RawClient, Server, ask, serving, soon, statuses
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from fproxy.shell import listener, tls, turns
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.tls import ServerTls, TlsError, UpstreamTls
from fproxy.shell.turn_budget import TurnBudget

AUTHORITY = trustme.CA()


def files(directory: Path, authority: trustme.CA = AUTHORITY, **more: str) -> ServerTls:
    """The files of a server on this machine."""
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    chain = directory / "cert.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return ServerTls(tls_cert=str(chain), tls_key=str(directory / "key.pem"), **more)


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def secure_url(server: Server) -> str:
    return server.url().replace("ws://127.0.0.1", "wss://localhost")


async def talk(server: Server, context: ssl.SSLContext | None = None) -> list[tuple[str, str]]:
    """Connect, authenticate, subscribe; return the last answer."""
    async with connect(secure_url(server), ssl=context or trusting(), local_addr=None) as client:
        await statuses(client)
        await ask(client, "auth", KEY)
        return await ask(client, "subscribe", "T.AAPL")


SUBSCRIBED = [("success", "subscribed to: T.AAPL")]


async def raw_tls(server: Server, prefix: bytes = b"", *, then: bytes = b"") -> RawClient:
    """A connection that sends a header of the PROXY protocol in front of its TLS handshake, and something behind it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in (prefix[:9], prefix[9:]):
        writer.write(piece)
        await writer.drain()
    await writer.start_tls(trusting(), server_hostname="localhost")
    writer.write(then + UPGRADE.format(path="/").encode())
    return RawClient(reader, writer)


async def test_clients_are_served_over_tls(tmp_path: Path) -> None:
    async with serving(ssl_context=files(tmp_path).context()) as server:
        assert await talk(server) == SUBSCRIBED
        await server.emptied()
        assert server.metric("tls_failures_total") == 0


async def test_a_close_that_has_to_wait_for_its_turn_ends_the_connection_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TurnBudget", lambda: TurnBudget(1e-12, share=0.0))
    async with serving(ssl_context=files(tmp_path).context()) as server:
        assert await talk(server) == SUBSCRIBED
        await server.emptied()


async def test_old_tls_and_no_tls_are_refused_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fproxy.server")
    context = files(tmp_path).context()
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with serving(ssl_context=context) as server:
        old = trusting()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1 is"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await talk(server, old)
        with pytest.raises((InvalidMessage, ConnectionError)):
            async with connect(server.url()):
                pass
        await soon(server.failed_handshakes(2))
        assert "127.0.0.1 dropped: its TLS handshake failed: " in caplog.text
        assert await talk(server) == SUBSCRIBED


async def test_with_an_authority_for_clients_only_theirs_get_in(tmp_path: Path) -> None:
    clients = trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    context = files(tmp_path, tls_client_ca=str(tmp_path / "clients.pem")).context()
    async with serving(ssl_context=context) as server:
        known, stranger = trusting(), trusting()
        clients.issue_cert("desk").configure_cert(known)
        trustme.CA().issue_cert("desk").configure_cert(stranger)
        assert await talk(server, known) == SUBSCRIBED
        for other in (stranger, trusting()):
            with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage)):
                await talk(server, other)


async def test_certificates_change_under_clients_that_stay(tmp_path: Path) -> None:
    async with serving(ssl_context=files(tmp_path).context()) as server:
        async with connect(secure_url(server), ssl=trusting()) as early:
            await statuses(early)
            renewed = trustme.CA()
            context = files(tmp_path, renewed).context()
            assert context is not None
            server.replace_tls(context)
            with pytest.raises(ssl.SSLCertVerificationError):
                await talk(server)
            assert await talk(server, trusting(renewed)) == SUBSCRIBED
            assert await ask(early, "auth", KEY) == [("auth_success", "authenticated")]


async def test_silent_connections_before_the_handshake_are_limited(tmp_path: Path) -> None:
    limits = ConnectionLimits(max_unauthenticated=20)
    async with (
        serving(ssl_context=files(tmp_path).context(), connection_limits=limits) as server,
        AsyncExitStack() as stack,
    ):
        silent = []
        for _ in range(50):
            opened = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.66", 0))
            stack.callback(opened[1].transport.abort)
            silent.append(opened)  # a writer that is not kept closes its connection
        assert await talk(server) == SUBSCRIBED
        assert server.metric("refused_connections_total", reason="unauthenticated") >= 30


@pytest.mark.parametrize("begin", [b"", b"PROXY TCP4 1.2.3"], ids=["handshake", "header of a proxy"])
async def test_a_handshake_that_takes_too_long_is_given_up(tmp_path: Path, begin: bytes) -> None:
    limits = ClientLimits(handshake_timeout=0.2)
    trusted = ConnectionLimits(trusted_proxies=("127.0.0.1",) if begin else ())
    async with serving(
        limits=limits, connection_limits=trusted, ssl_context=files(tmp_path).context()
    ) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begin)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await soon(reader.readexactly(1))
        writer.transport.abort()
        assert server.metric("tls_failures_total") == 1


async def test_a_handshake_may_take_longer_than_the_library_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for a minute; a program that embeds a server may want more."""
    monkeypatch.setitem(constants.SSL_TIMEOUT_DEFAULTS, "ssl_handshake_timeout", 0.05)
    async with serving(ssl_context=files(tmp_path).context()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):  # many times as long
                await server.failed_handshakes(1)
        await soon(writer.start_tls(trusting(), server_hostname="localhost"))
        writer.transport.abort()
        assert server.metric("tls_failures_total") == 0


async def test_who_has_to_go_for_another_before_its_handshake_began_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "ACCEPTS_PER_TURN", 2)
    limits = ConnectionLimits(max_unauthenticated=1)
    server = Server(ssl_context=files(tmp_path).context(), connection_limits=limits)
    opened = []

    async def both_come() -> None:
        for number in (66, 67):
            address = (f"127.0.0.{number}", 0)
            opened.append(await asyncio.open_connection("127.0.0.1", server.port, local_addr=address))

    await server.start(before_accepting=both_come)
    try:
        (first, first_writer), (_, second_writer) = opened
        assert await soon(first.read()) == b""
        first_writer.transport.abort()
        assert server.metric("refused_connections_total", reason="unauthenticated") == 1
        assert server.metric("tls_failures_total") == 0
        await soon(second_writer.start_tls(trusting(), server_hostname="localhost"))
        second_writer.transport.abort()
    finally:
        await server.stop(timeout=1.0)


async def test_a_handshake_that_fails_gives_its_place_back(tmp_path: Path) -> None:
    limits = ConnectionLimits(max_connections_per_address=2)
    async with serving(ssl_context=files(tmp_path).context(), connection_limits=limits) as server:
        for number in range(1, 5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"this is no TLS\r\n")
            await soon(reader.read())
            writer.transport.abort()
            assert server.metric("tls_failures_total") == number
        assert await talk(server) == SUBSCRIBED
        assert server.metric("refused_connections_total", reason="address") == 0


async def test_a_handshake_that_is_broken_off_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ssl_context=files(tmp_path).context()) as server:
        for number, begin in enumerate((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"), 1):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(begin)
            await writer.drain()
            writer.close()
            await soon(server.failed_handshakes(number))
        assert await talk(server) == SUBSCRIBED
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("header", [version_1, version_2])
async def test_nobody_else_is_believed_in_front_of_the_handshake(tmp_path: Path, header: Any) -> None:
    limits = ConnectionLimits(trusted_proxies=("10.0.0.0/8",))
    async with serving(ssl_context=files(tmp_path).context(), connection_limits=limits) as server:
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await raw_tls(server, header("10.2.3.4"))
        assert server.metric("tls_failures_total") == 1


@pytest.mark.parametrize("header", [version_1, version_2])
async def test_a_proxy_names_the_address_in_front_of_the_handshake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, header: Any
) -> None:
    async with serving(
        ssl_context=files(tmp_path).context(),
        connection_limits=ConnectionLimits(max_connections_per_address=1, trusted_proxies=("127.0.0.1",)),
    ) as server:
        first = await raw_tls(server, header("1.2.3.4"))
        assert (await first.head()).startswith(b"HTTP/1.1 101")
        other = await raw_tls(server, header("1.2.3.5"))
        assert (await other.head()).startswith(b"HTTP/1.1 101")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await raw_tls(server, header("1.2.3.4"))
        assert server.metric("refused_connections_total", reason="address") == 1
        inside = await raw_tls(server, header("1.2.3.6"), then=version_1("1.2.3.7"))
        assert await inside.ended(), "behind the handshake it would be the client's own word"
        assert "passed on a PROXY header where only its client's own can stand" in caplog.text
        for raw in (first, other, inside):
            raw.writer.transport.abort()


async def test_stopping_drops_handshakes_that_are_under_way(tmp_path: Path) -> None:
    async with serving(ssl_context=files(tmp_path).context()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await server.stop(timeout=1.0)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await soon(reader.readexactly(1))
        writer.transport.abort()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tls_key": ""}, "TLS needs both a certificate"),
        ({"tls_cert": "missing.pem"}, "cannot read missing.pem: No such file"),
        ({"tls_key": "cert.pem"}, "are not a certificate and its key"),
        ({"tls_client_ca": "key.pem"}, "key.pem holds no certificates in PEM"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TlsError, match=message):
        ServerTls(**({"tls_cert": "cert.pem", "tls_key": "key.pem"} | change)).context()
    with pytest.raises(TlsError, match="needs both a certificate"):
        UpstreamTls(upstream_cert="cert.pem").context()


def test_tls_is_1_2_at_least_whatever_the_system_would_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has that minimum by itself, unless it was built to leave it to the system."""

    made: list[ssl.SSLContext] = []

    def of_the_system(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
        def lax(*arguments: Any) -> ssl.SSLContext:
            made.append(make(*arguments))
            made[-1].minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            return made[-1]

        return lax

    module = SimpleNamespace(**vars(ssl))
    for name in ("SSLContext", "create_default_context"):
        setattr(module, name, of_the_system(getattr(ssl, name)))
    monkeypatch.setattr(tls, "ssl", module)
    server = files(tmp_path)
    server.context(), UpstreamTls().context(), UpstreamTls(upstream_ca=server.tls_cert).context()
    assert [context.minimum_version for context in made] == 3 * [ssl.TLSVersion.TLSv1_2]


def test_no_files_mean_no_tls() -> None:
    assert ServerTls().context() is None
