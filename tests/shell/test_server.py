"""The server with real clients: connecting, sessions in both dialects, and the order of what is sent."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import massive
import pytest
import uvloop
from server_harness import (
    KEY,
    UPGRADE,
    RecordingRole,
    Server,
    ask,
    client_of,
    endpoints_of,
    joined_client,
    masked_frame,
    raw_client,
    request,
    serving,
    soon,
    statuses,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fproxy.core.client_keys import ClientKeys
from fproxy.core.frames import text_frame
from fproxy.metrics import Metrics
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.server import ClientServer, ServerStartError

DATA = b'[{"ev":"T","sym":"AAPL","p":1}]'
QUICK = ClientLimits(handshake_timeout=0.05, auth_timeout=0.05, close_timeout=0.05)


# Sessions.


async def test_the_vendors_dialect() -> None:
    async with serving() as server, connect(server.url("/stocks")) as client:
        assert await soon(client.recv()) == (
            '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
        )
        assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]
        assert await ask(client, "subscribe", "T.AAPL,A.AAPL") == [
            ("success", "subscribed to: T.AAPL"),
            ("success", "subscribed to: A.AAPL"),
        ]
        assert await ask(client, "unsubscribe", "T.AAPL") == [("success", "unsubscribed to: T.AAPL")]
        assert server.role.calls == [
            ("joined",),
            ("subscribe", "T.AAPL", "A.AAPL"),
            ("unsubscribe", "T.AAPL"),
        ]


async def test_without_a_greeting_the_first_message_answers_auth() -> None:
    async with serving() as server, client_of(server, "/") as client:
        assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]


async def test_the_official_client() -> None:
    role = RecordingRole()
    role.hooks["subscribe"] = lambda client: asyncio.get_running_loop().call_soon(
        client.write, text_frame(DATA)
    )
    received: list[str] = []
    async with serving(role) as server:
        official = massive.WebSocketClient(
            api_key=KEY,
            feed=f"127.0.0.1:{server.port}",
            market="stocks",
            secure=False,
            raw=True,
            subscriptions=["T.AAPL"],
        )

        async def process(message: str) -> None:
            received.append(message)
            if len(received) == 2:
                await official.close()

        await soon(official.connect(process))
    assert json.loads(received[0])[0]["message"] == "subscribed to: T.AAPL"
    assert received[1].encode() == DATA


@pytest.mark.parametrize("together", ["one write", "with the handshake"])
async def test_auth_and_subscriptions_in_one_burst(together: str) -> None:
    burst = masked_frame(0x81, request("auth", KEY).encode())
    burst += masked_frame(0x81, request("subscribe", "T.AAPL,Q.AAPL").encode())
    async with serving() as server, raw_client(server) as client:
        if together == "one write":
            await client.open()
            client.writer.write(burst)
        else:
            client.writer.write(UPGRADE.format(path="/stocks").encode() + burst)
            await client.head()
        assert b'"connected"' in (await client.frame())[1]
        assert b'"auth_success"' in (await client.frame())[1]
        assert (await client.frame())[1].count(b"subscribed to") == 2
        assert server.role.calls == [("joined",), ("subscribe", "T.AAPL", "Q.AAPL")]


async def test_a_bad_key_is_refused_and_kept_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as server, client_of(server) as client:
        assert await ask(client, "auth", "secret-but-wrong") == [("auth_failed", "authentication failed")]
        with pytest.raises(ConnectionClosed) as closed:
            await soon(client.recv())
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "authentication failed")
        await server.emptied()
        assert server.role.calls == []
        assert server.metric("auth_failures_total", reason="bad_key") == 1
    server_log = [record for record in caplog.records if record.name.startswith("fproxy")]
    assert [record.levelname for record in server_log if "authentication failed" in record.message] == [
        "WARNING"
    ]
    assert not any("secret-but-wrong" in record.getMessage() for record in server_log)


async def test_nothing_but_auth_is_accepted_before_auth() -> None:
    async with serving() as server, client_of(server) as client:
        [(status, text)] = await ask(client, "subscribe", "T.AAPL")
        assert (status, text) == ("error", "not authenticated: 'subscribe' came before auth")
        assert server.role.calls == []
        assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]


async def test_a_client_that_does_not_authenticate_is_told_and_closed() -> None:
    async with serving(limits=QUICK) as server, client_of(server) as client:
        assert await statuses(client) == [("auth_timeout", "No authentication request received.")]
        with pytest.raises(ConnectionClosed) as closed:
            await soon(client.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert server.metric("auth_failures_total", reason="timeout") == 1


async def test_errors_are_counted_and_the_connection_stays() -> None:
    async with serving() as server, joined_client(server) as client:
        await client.send("nonsense")
        assert [status for status, _ in await statuses(client)] == ["error"]
        assert [status for status, _ in await ask(client, "subscribe", "T.A,T,Q.A,Q")] == [
            "success", "error", "success", "error",
        ]  # fmt: skip
        assert server.role.calls[-1] == ("subscribe", "T.A", "Q.A")
        assert server.metric("control_errors_total") == 3


async def test_an_accounts_clients_have_the_same_name_and_others_another() -> None:
    async with (
        serving(keys=ClientKeys()) as server,
        client_of(server) as first,
        client_of(server) as second,
        client_of(server) as third,
    ):
        for client, key in ((first, "mine"), (second, "mine"), (third, "yours")):
            await ask(client, "auth", key)
        accounts = [client.account for client in server.role.clients]
        assert accounts[0] == accounts[1] != accounts[2]
        assert "mine" not in accounts


async def test_since_goes_to_a_role_that_can_replay() -> None:
    class ReplayingRole(RecordingRole):
        def subscribe_since(self, client: Client, topics: object, since: int) -> None:
            self.calls.append(("since", since))

    text = json.dumps({"action": "subscribe", "params": "100Ms.A", "since": 5})
    for role, call in ((ReplayingRole(), ("since", 5)), (RecordingRole(), ("subscribe", "100Ms.A"))):
        async with serving(role) as server, joined_client(server) as client:
            await client.send(text)
            assert await statuses(client) == [("success", "subscribed to: 100Ms.A")]
            assert role.calls[-1] == call


# The order of what is sent.


async def test_data_written_while_subscribing_comes_before_the_acknowledgement() -> None:
    role = RecordingRole()
    role.hooks["subscribe"] = lambda client: client.write(text_frame(DATA))
    async with serving(role) as server, joined_client(server) as client:
        await client.send(request("subscribe", "T.AAPL"))
        assert await soon(client.recv()) == DATA.decode()
        assert await statuses(client) == [("success", "subscribed to: T.AAPL")]


async def test_data_and_statuses_keep_their_order() -> None:
    async with serving() as server, joined_client(server) as client:
        [sink] = server.role.clients
        for number in range(200):
            sink.write(text_frame(b"[%d]" % number))
            sink.send_status(b'["%d"]' % number)
        for number in range(200):
            assert await soon(client.recv()) == f"[{number}]"
            assert await soon(client.recv()) == f'["{number}"]'


async def test_a_frame_may_hold_several_frames() -> None:
    async with serving() as server, joined_client(server) as client:
        server.role.clients[0].write(text_frame(b"[1]") + text_frame(b"[2]"))
        assert [await soon(client.recv()), await soon(client.recv())] == ["[1]", "[2]"]


# Joining and leaving.


async def test_a_role_may_turn_a_client_away_when_it_joins() -> None:
    role = RecordingRole()

    def turn_away(client: Client) -> None:
        client.send_status(b'[{"ev":"status","status":"max_connections","message":"one too many"}]')
        client.close(1008, "")

    role.hooks["joined"] = turn_away
    async with serving(role) as server, client_of(server) as client:
        await client.send(request("auth", KEY))
        await client.send(request("subscribe", "T.AAPL"))
        assert await statuses(client) == [("auth_success", "authenticated")]
        assert await statuses(client) == [("max_connections", "one too many")]
        with pytest.raises(ConnectionClosed) as closed:
            await soon(client.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        await server.emptied()
        assert role.calls == [("joined",), ("left",)]


async def test_clients_leave_once_however_they_go() -> None:
    async with serving() as server:
        async with joined_client(server):
            pass
        await server.role.wait_for("left", 1)
        async with joined_client(server) as client:
            client.transport.abort()
            await server.role.wait_for("left", 2)
        async with joined_client(server) as client:
            server.role.clients[-1].close(1000, "enough")
            server.role.clients[-1].close(1000, "enough")
            await soon(client.wait_closed())
        await server.role.wait_for("left", 3)
        async with raw_client(server) as raw:
            await raw.join()
            raw.writer.write_eof()
            assert await raw.ended()
        await server.emptied()
        assert [server.role.count(name) for name in ("joined", "left")] == [4, 4]
        assert server.metric("clients") == 0
        assert server.metric("connections_total") == 4


async def test_writing_to_a_client_that_has_gone_does_nothing() -> None:
    async with serving() as server:
        async with joined_client(server):
            [sink] = server.role.clients
            assert sink.authenticated
            assert sink.peer.startswith("127.0.0.1:")
            assert server.metric("clients") == 1
        await server.emptied()
        sink.write(text_frame(DATA))
        sink.send_status(DATA)
        sink.close(1000, "")
        sink.abort()
        assert not sink.authenticated
        assert sink.unsent_bytes == 0


async def test_a_client_leaves_after_a_close_but_not_within_it() -> None:
    role = RecordingRole()
    async with serving(role) as server, joined_client(server) as client:
        [sink] = role.clients
        sink.close(1000, "r" * 200)
        assert role.count("left") == 0
        sink.write(text_frame(DATA))
        with pytest.raises(ConnectionClosed) as closed:
            await soon(client.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason == "r" * 123
        assert role.count("left") == 1


async def test_a_defect_of_the_role_costs_only_the_client_that_met_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    role = RecordingRole()

    def fail(client: Client) -> None:
        raise RuntimeError("a defect")

    role.hooks["subscribe"] = fail
    async with serving(role) as server, joined_client(server) as other, joined_client(server) as client:
        await client.send(request("subscribe", "T.AAPL"))
        with pytest.raises(ConnectionClosed) as closed:
            await soon(client.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        await role.wait_for("left")
        assert await ask(other, "unsubscribe", "T.AAPL") == [("success", "unsubscribed to: T.AAPL")]
    assert "a defect" in caplog.text


# Starting and stopping.


async def test_stopping_closes_every_client_and_leaves_nothing() -> None:
    async with serving() as server, joined_client(server) as joined, client_of(server) as waiting:
        async with raw_client(server) as unfinished:
            unfinished.writer.write(b"GET / HTTP/1.1\r\n")
            server.role.clients[0].write(text_frame(DATA))
            port = server.port
            await soon(server.stop())
            assert await soon(joined.recv()) == DATA.decode()
            for client in (joined, waiting):
                with pytest.raises(ConnectionClosed) as closed:
                    await soon(client.recv())
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "service restart")
            assert await unfinished.ended()
        assert server.connections == 0
        assert server.role.count("left") == 1
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", port)
        await server.stop()


async def until_closed(client: ClientConnection) -> AsyncIterator[str | bytes]:
    """The messages of a client until its connection is closed, with whatever code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await soon(client.recv())


async def test_draining_lets_clients_go_one_by_one_and_serves_the_others_until_then() -> None:
    async with serving(drain=0.4) as server:
        async with joined_client(server) as one, joined_client(server) as two, joined_client(server) as three:
            pending: list[bytes] = [b'["one"]', b'["two"]', b'["three"]']

            def flush() -> None:
                """What a role has pending is sent to all who are still there."""
                frame = text_frame(pending.pop(0))
                for client in server.role.clients:
                    client.write(frame)

            stopping = asyncio.ensure_future(server.stop(flush=flush))
            got: list[int] = []
            for client in (one, two, three):
                got.append(len([message async for message in until_closed(client)]))
                assert client.close_code == 1012
            assert sorted(got) == [1, 2, 3], "each was served until it was let go"
            await soon(stopping)


async def test_draining_ends_when_no_client_is_left() -> None:
    async with serving(drain=3600.0) as server:
        async with joined_client(server), joined_client(server):
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
        await soon(stopping)


async def test_stopping_drops_clients_that_do_not_close() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        await soon(server.stop(timeout=0.01))
        assert server.connections == 0
        assert server.role.calls == [("joined",), ("left",)]
        assert await client.close_frame() == (1012, "service restart")
        assert await client.ended()


async def test_a_server_that_never_started_stops() -> None:
    server = Server()
    await server.stop()
    assert server.connections == 0


async def test_a_server_may_start_again() -> None:
    async with serving() as server:
        await server.stop()
        await server.start()
        async with joined_client(server) as client:
            assert await ask(client, "subscribe", "*") == [("success", "subscribed to: *")]


async def test_a_port_in_use_is_named() -> None:
    async with serving() as server:
        with pytest.raises(ServerStartError, match=f"^port {server.port} on 127.0.0.1 is in use$"):
            await Server(port=server.port).start()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_a_host_that_is_not_this_machines_is_named(host: str) -> None:
    with pytest.raises(ServerStartError, match=f"^cannot listen on {host}: not an address"):
        await Server(host=host).start()


async def test_more_clients_than_the_process_may_open_files_for_are_not_promised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(max_clients=1 << 40) as server, joined_client(server):
        pass
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "may not open more files" in warning.getMessage()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections over the listeners")
async def test_two_servers_may_share_a_port() -> None:
    async with serving(reuse_port=True) as first, serving(reuse_port=True, port=first.port) as second:
        assert first.port == second.port
        while not (first.role.clients and second.role.clients):
            async with joined_client(first):
                pass


async def test_a_server_full_of_clients_turns_others_away() -> None:
    async with serving(max_clients=1) as server:
        async with joined_client(server), raw_client(server) as client:
            assert (await client.head()).startswith(b"HTTP/1.1 503 ")
            assert await client.ended()
        await server.emptied()
        async with joined_client(server):
            pass


async def test_writes_are_not_held_back_by_nagles_algorithm() -> None:
    async with serving() as server, joined_client(server):
        transport = server.role.clients[0]._transport
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_on_uvloop() -> None:
    async def main() -> None:
        async with serving() as server, joined_client(server) as client:
            assert await ask(client, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
            server.role.clients[0].write(text_frame(DATA))
            assert await soon(client.recv()) == DATA.decode()
            await server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await soon(client.recv())
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)
    async with serving(ssl_context=context) as server:
        url = server.url().replace("ws:", "wss:")
        async with connect(url, ssl=trusting) as client:
            await soon(client.recv())
            assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]
            server.role.clients[0].write(text_frame(DATA * 10_000))
            assert await soon(client.recv()) == DATA.decode() * 10_000
            await server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await soon(client.recv())
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012


def test_a_server_knows_no_port_before_it_starts() -> None:
    server = ClientServer(endpoints_of(RecordingRole()), keys=ClientKeys(), metrics=Metrics(), port=8765)
    assert server.port == 8765
