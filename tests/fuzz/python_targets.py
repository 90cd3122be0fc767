"""What any bytes at all must not break, in Python: each target takes an input, and raises when something is wrong."""

import asyncio
import base64
import hashlib
import json
import logging
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import Close, Session, Subscribe, Unsubscribe
from fproxy.core.status_replies import Reply
from fproxy.core.topics import Topic
from fproxy.face.keys_file import read_keys_file
from fproxy.face.settings.config_file import read_config_file
from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.settings.env_file import EnvFileError, read_env_file
from fproxy.face.settings.toml_file import TomlFileError
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.upstream_options import UpstreamOptions

PATIENCE: Final = 20.0
"""How long an input may take before it counts as a hang, in seconds."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


def session(data: bytes) -> None:
    """A client's messages, one a line, after it has authenticated: each gets sound answers, and topics are kept."""
    rules = Session(keys=ClientKeys(["key"]), greets=True)
    held: set[Topic] = set()
    lines: list[str | bytes] = ['{"action":"auth","params":"key"}', *data.split(b"\n")]
    for line in lines:
        for effect in rules.received(line, held):
            if isinstance(effect, Reply):
                events = json.loads(effect.message)
                assert all(event["ev"] == "status" for event in events)
            elif isinstance(effect, Subscribe):
                held.update(effect.topics)
            elif isinstance(effect, Unsubscribe):
                held.difference_update(effect.topics)
            elif isinstance(effect, Close):
                assert not list(rules.received('{"action":"subscribe","params":"T.A"}', held))
                return


def _file(data: bytes) -> Path:
    path = Path(tempfile.gettempdir()) / f"fproxy-fuzz-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def keys_file(data: bytes) -> None:
    """A keys file is read, or refused with its name and without its keys."""
    path = _file(data)
    try:
        keys = read_keys_file(path)
        assert len({key.key.name for key in keys}) == len(keys)
    except TomlFileError as error:
        _check_name(path, error)
    finally:
        path.unlink()


def _check_name(path: Path, error: Exception) -> None:
    assert path.name in str(error)


def settings_file(data: bytes) -> None:
    """A configuration file and a ``.env`` file are read, or refused with their names."""
    path = _file(data)
    try:
        for read in (lambda: read_config_file(path, DECLARATIONS), lambda: read_env_file(path)):
            try:
                read()
            except (TomlFileError, EnvFileError) as error:
                _check_name(path, error)
    finally:
        path.unlink()


class _Complaints(logging.Handler):
    """Keeps what is logged that only a defect would log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))

    def check(self) -> None:
        assert not self.records, self.records


class _Wire:
    """A filtered proxy on loopback, with an upstream and a client that send what they are told to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._complaints = _Complaints()
        for name in ("fproxy", "asyncio"):
            logging.getLogger(name).addHandler(self._complaints)
            logging.getLogger(name).propagate = False
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self._to_send: asyncio.Queue[tuple[bytes, asyncio.Future[None]]] = asyncio.Queue()
        self._upstream = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{self._upstream.sockets[0].getsockname()[1]}"
        options = UpstreamOptions(reconnect_min=0.001, reconnect_max=0.002, auth_wait=0.001)
        self._proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(port=0), firehose_url=url, aggregator_url=url, upstream=options
            ),
            Metrics(),
        )
        await self._proxy.start()

    def close(self) -> None:
        """Stop both."""
        for name in ("fproxy", "asyncio"):
            logging.getLogger(name).removeHandler(self._complaints)
            logging.getLogger(name).propagate = True
        self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _stop(self) -> None:
        await self._proxy.stop()
        self._upstream.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            key = next(
                line.split(b":", 1)[1].strip()
                for line in request.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key:")
            )
            accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            data, done = await self._to_send.get()
            writer.write(data)
            writer.write_eof()
            while await reader.read(65536):
                pass
            done.set_result(None)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def upstream(self, data: bytes) -> None:
        """Have the upstream send these bytes behind its handshake."""

        async def send() -> None:
            done: asyncio.Future[None] = self._loop.create_future()
            self._to_send.put_nowait((data, done))
            await done

        self._loop.run_until_complete(asyncio.wait_for(send(), PATIENCE))
        self._complaints.check()

    def client(self, data: bytes) -> None:
        """Have a client send these bytes from the first of its handshake on."""

        async def send() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._proxy.port)
            try:
                writer.write(data)
                writer.write_eof()
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
            finally:
                writer.close()

        self._loop.run_until_complete(asyncio.wait_for(send(), PATIENCE))
        self._complaints.check()


_wires: list[_Wire] = []


def _wire() -> _Wire:
    if not _wires:
        _wires.append(_Wire())
    return _wires[0]


def close() -> None:
    """Stop what targets have started."""
    while _wires:
        _wires.pop().close()


def upstream_frames(data: bytes) -> None:
    """What an upstream sends behind its handshake: as it is, or each line as a frame (behind an odd byte)."""
    if data[:1] and data[0] & 1:
        data = b"".join(_frame(line, mask=False) for line in data[1:].split(b"\n"))
    _wire().upstream(data)


_REQUEST: Final = (
    b"GET /stocks HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def client_bytes(data: bytes) -> None:
    """What a client sends from its first byte on; a first byte of 1 or 2 modulo 4 puts a sound handshake before it.

    With 2 each line becomes a masked text frame, behind one that authenticates.
    """
    kind = data[0] % 4 if data else 0
    if kind in (1, 2):
        rest = data[1:]
        if kind == 2:
            lines = [b'{"action":"auth","params":"key"}', *rest.split(b"\n")]
            rest = b"".join(_frame(line, mask=True) for line in lines)
        data = _REQUEST + rest
    _wire().client(data)


def _frame(payload: bytes, *, mask: bool) -> bytes:
    """Return a text frame: RFC 6455, section 5.2. Its mask is zero, which changes nothing."""
    bit = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = bytes([0x81, bit | size])
    elif size < 65536:
        head = bytes([0x81, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([0x81, bit | 127]) + struct.pack(">Q", size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "session": session,
    "keys_file": keys_file,
    "settings_file": settings_file,
    "upstream_frames": upstream_frames,
    "client_bytes": client_bytes,
}
