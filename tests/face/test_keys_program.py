"""A keys file while ``fproxy`` runs: made, changed, revoked, with clients that come, stay and go."""

import asyncio
import json
import re
import signal
from contextlib import suppress
from pathlib import Path

from running_program import TIMEOUT, StartProgram
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

NOWHERE = {"FIREHOSE_URL": "ws://127.0.0.1:1", "MS_AGGREGATOR_URL": "ws://127.0.0.1:1"}


async def answer(port: int, key: str) -> tuple[ClientConnection, str]:
    """Connect, send a key, and return what is answered."""
    client = await connect(f"ws://127.0.0.1:{port}/")
    await client.send(json.dumps({"action": "auth", "params": key}))
    (status,) = json.loads(await client.recv())
    return client, status["status"]


async def test_keys_come_and_go_while_clients_are_served(start: StartProgram, tmp_path: Path) -> None:
    async def add(name: str) -> str:
        program = await start("keys", "add", name)
        code, output, errors = await program.finish()
        assert (code, errors) == (0, "")
        return output.strip()

    path = tmp_path / "keys.toml"
    alice = await add("alice")
    program = await start("--port", "0", "--keys-file", "keys.toml", POLYGON_API_KEY="vendor", **NOWHERE)
    line = await program.error_line("Now listening on port")
    port = int(re.findall(r"\d+", line)[-1])
    client, status = await answer(port, alice)
    assert status == "auth_success"
    for stranger in ("vendor", "any"):
        refused, status = await answer(port, stranger)
        assert status == "auth_failed", "with a keys file the vendor's key is no client's"
        await refused.close()

    bob = await add("bob")
    await program.error_line("Read keys.toml again: 2 keys; new: bob; gone: none")
    other, status = await answer(port, bob)
    assert status == "auth_success"

    whole = path.read_text()
    path.write_text("[keys.alice]\nsha256 = 'x'\n")
    program.process.send_signal(signal.SIGHUP)
    await program.error_line("The keys stay as they were: keys.toml, line 2: sha256 must be a string")
    path.write_text(whole[whole.index("[keys.bob]") :])
    program.process.send_signal(signal.SIGHUP)
    await program.error_line("INFO alice at 127.0.0.1:")
    async with asyncio.timeout(TIMEOUT):
        with suppress(ConnectionClosed):
            while True:
                await client.recv()
        assert (client.close_code, client.close_reason) == (1008, "key revoked")
        await other.send(json.dumps({"action": "subscribe", "params": "T.AAPL"}))
        assert "subscribed to: T.AAPL" in str(await other.recv())
    await other.close()
    code, _, errors = await program.finish(signal.SIGTERM)
    assert code == 0
    assert alice not in "".join(program.errors) + errors
