"""A proxy that does one thing wrong: the plain Python peer with a fault in what it sends."""

import argparse
import asyncio
import importlib.util
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

EVERY = 20
"""One message in so many is faulty, of those with at least three events."""


def _events(message: str) -> list[str]:
    return [event + "}" for event in message[1:-2].split("},")]


def _message(events: Iterable[str]) -> str:
    return f"[{','.join(events)}]"


def _lost(message: str) -> list[str]:
    first, _, *others = _events(message)
    return [_message([first, *others])]


def _reordered(message: str) -> list[str]:
    first, second, *others = _events(message)
    return [_message([second, first, *others])]


FAULTS: dict[str, Callable[[str], list[str]]] = {
    "none": lambda message: [message],
    "lost": _lost,
    "reordered": _reordered,
    "repeated": lambda message: [message, message],
    "altered": lambda message: [message.replace('"t":1', '"t":2', 1)],
    "malformed": lambda message: [message.replace("},{", "}{", 1)],
    "split": lambda message: [_message([event]) for event in _events(message)],
}


def _load_peer() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "peers" / "python_websockets.py"
    spec = importlib.util.spec_from_file_location("python_websockets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--fault", choices=[*FAULTS, "unexpected", "closed"], required=True)
    arguments = parser.parse_args()
    peer: Any = _load_peer()
    peer.loads, peer.dumps = json.loads, json.JSONEncoder(separators=(",", ":")).encode
    honest = peer.broadcast
    messages = 0

    def broadcast(clients: tuple[Any, ...], message: str) -> None:
        nonlocal messages
        messages += message.count("{") >= 3
        faulty = message.count("{") >= 3 and messages % EVERY == 0
        if faulty and arguments.fault == "closed":
            clients[0].transport.close()
        elif faulty and arguments.fault == "unexpected":
            honest({client for group in peer.subscribers.values() for client in group}, message)
        else:
            for part in FAULTS.get(arguments.fault, FAULTS["none"])(message) if faulty else [message]:
                honest(clients, part)

    peer.broadcast = broadcast
    asyncio.run(peer.main(arguments.port, arguments.upstream))


if __name__ == "__main__":
    main()
