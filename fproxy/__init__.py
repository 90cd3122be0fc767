"""fproxy: a filtered WebSocket proxy for market data, as a program and as a library.

What a program may rely upon is named in ``__all__``; everything else may change with any version. Names are loaded when
they are first used: ``import fproxy`` by itself loads nothing.

The roles are made of settings and a place to count in, started and stopped in any asyncio program::

    proxy = fproxy.FilteredProxy(fproxy.FilteredProxySettings(firehose_url="ws://..."), fproxy.Metrics())
    await proxy.start()

The fast path stands by itself: ``Fanout`` distributes messages by topics, ``Broadcast`` frames them for everybody,
``BarBuilder`` makes bars of trades, ``scan`` finds the events of a message.

Raises:
    ImportError: the interpreter runs without its lock (free-threaded Python).
"""

import sys
from typing import TYPE_CHECKING, Any, Final

if not getattr(sys, "_is_gil_enabled", lambda: True)():
    raise ImportError(
        "fproxy does not run on free-threaded Python: its compiled core relies on the interpreter's lock. "
        "Use an ordinary python3, or set PYTHON_GIL=1"
    )

if TYPE_CHECKING:
    from fproxy._bars import BarBuilder
    from fproxy._fastpath import Broadcast, Fanout, FrameError, History, ReentrancyError, scan
    from fproxy.core.market import MARKETS, Market
    from fproxy.core.scanned_event import ScannedEvent
    from fproxy.core.topics import Topic, TopicError, parse_topic
    from fproxy.metrics import Metrics
    from fproxy.roles.aggregator import Aggregator
    from fproxy.roles.filtered_proxy import FilteredProxy
    from fproxy.roles.firehose import Firehose
    from fproxy.roles.settings import (
        AggregatorSettings,
        FilteredProxySettings,
        FirehoseSettings,
        HistorySettings,
        ServerSettings,
    )
    from fproxy.roles.simulator import Simulator
    from fproxy.roles.simulator_settings import SimulatorSettings
    from fproxy.shell.client_limits import ClientLimits
    from fproxy.shell.server import ServerStartError
    from fproxy.shell.tls import ServerTls
    from fproxy.shell.upstream_options import UpstreamOptions

    __version__: str

__all__ = [
    "MARKETS",
    "Aggregator",
    "AggregatorSettings",
    "BarBuilder",
    "Broadcast",
    "ClientLimits",
    "Fanout",
    "FilteredProxy",
    "FilteredProxySettings",
    "Firehose",
    "FirehoseSettings",
    "FrameError",
    "History",
    "HistorySettings",
    "Market",
    "Metrics",
    "ReentrancyError",
    "ScannedEvent",
    "ServerSettings",
    "ServerStartError",
    "ServerTls",
    "Simulator",
    "SimulatorSettings",
    "Topic",
    "TopicError",
    "UpstreamOptions",
    "__version__",
    "parse_topic",
    "scan",
]

_MODULES: Final = {
    "fproxy._bars": ("BarBuilder",),
    "fproxy._fastpath": ("Broadcast", "Fanout", "FrameError", "History", "ReentrancyError", "scan"),
    "fproxy.core.market": ("MARKETS", "Market"),
    "fproxy.core.scanned_event": ("ScannedEvent",),
    "fproxy.core.topics": ("Topic", "TopicError", "parse_topic"),
    "fproxy.metrics": ("Metrics",),
    "fproxy.roles.aggregator": ("Aggregator",),
    "fproxy.roles.filtered_proxy": ("FilteredProxy",),
    "fproxy.roles.firehose": ("Firehose",),
    "fproxy.roles.settings": (
        "AggregatorSettings",
        "FilteredProxySettings",
        "FirehoseSettings",
        "HistorySettings",
        "ServerSettings",
    ),
    "fproxy.roles.simulator": ("Simulator",),
    "fproxy.roles.simulator_settings": ("SimulatorSettings",),
    "fproxy.shell.client_limits": ("ClientLimits",),
    "fproxy.shell.server": ("ServerStartError",),
    "fproxy.shell.tls": ("ServerTls",),
    "fproxy.shell.upstream_options": ("UpstreamOptions",),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Loading all of it takes longer than many a command of the program.
    if name == "__version__":
        from importlib.metadata import version

        return version("fproxy")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'fproxy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
