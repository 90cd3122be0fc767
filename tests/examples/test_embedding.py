"""A role inside another program: with a listening socket and a TLS context of that program's own."""

import json
import socket
import ssl

import trustme
from websockets.asyncio.client import connect

import fproxy


async def test_a_program_passes_in_its_socket_and_its_tls_context() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    settings = fproxy.SimulatorSettings(
        server=fproxy.ServerSettings(listening=listening, tls=fproxy.ServerTls(tls_context=context))
    )
    market = fproxy.Simulator(settings, fproxy.Metrics())
    await market.start()
    assert market.port == port
    async with connect(f"wss://localhost:{port}/", ssl=trusting) as client:
        await client.send(json.dumps({"action": "auth", "params": "any"}))
        assert "auth_success" in str(await client.recv())
    await market.stop()
