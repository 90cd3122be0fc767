"""The JSON libraries that a plain proxy would use, each as such a proxy would use it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest


@dataclass(frozen=True)
class Decoder:
    """One library.

    Attributes:
        decode: returns the value of a JSON text; objects have ``[]``, ``in`` and iteration, at least.
        encode: returns the compact JSON text of a decoded value.
    """

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def _json() -> Decoder:
    json = importlib.import_module("json")
    encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
    return Decoder(json.loads, lambda value: encoder.encode(value).encode())


def _orjson() -> Decoder:
    orjson = importlib.import_module("orjson")
    return Decoder(orjson.loads, orjson.dumps)


def _pysimdjson() -> Decoder:
    parser = importlib.import_module("simdjson").Parser()
    # What it parses stays in the parser, and only what is looked at becomes a Python object.
    return Decoder(parser.parse, lambda value: value.mini)


_MAKERS: Final = {"json": _json, "orjson": _orjson, "pysimdjson": _pysimdjson}

DECODERS: Final = tuple(_MAKERS)
"""Their names, on which the names of benchmarks end."""


def decoder(name: str) -> Decoder:
    """Return the library of that name; skip the running test when it is not installed."""
    try:
        return _MAKERS[name]()
    except ImportError as error:
        pytest.skip(f"{error.name} is not installed")


def topic_of(event: Any) -> tuple[str, str]:
    """Return the event type and the symbol of a decoded stock event."""
    return event["ev"], event["sym"] if "sym" in event else event["T"]
