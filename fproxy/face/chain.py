"""The roles chained together on one machine, each a process: firehose, aggregator and filtered proxy.

``fproxy stack`` runs them behind the vendor, ``fproxy demo`` behind a simulated market.
"""

import os
import site
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

import fproxy
from fproxy.core.market import MARKETS, STOCKS, Market, Upstream
from fproxy.face.admin import AdminSettings
from fproxy.face.admin_joined import children_with_admin, process_sockets, with_joined_admin
from fproxy.face.relayed_log import CHILD_ENVIRONMENT, RelayedLog
from fproxy.face.run import serve
from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.supervisor import STOP_TIMEOUT, Child, Supervisor, free_port

LOOPBACK: Final = "127.0.0.1"

_WILDCARD_HOSTS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - compared with, not listened on.
_COLOURS: Final = ("cyan", "green", "magenta", "blue")
_PROXY_ALONE: Final = tuple(declared.variable for declared in DECLARATIONS if declared.proxy_alone)
"""Settings of a stack that are about its clients."""

_PLACES: Final = tuple(
    declared.market_variable(market)
    for declared in DECLARATIONS
    if declared.name in ("firehose_url", "aggregator_url")
    for market in MARKETS.values()
)
"""What says where the roles of one market are, which in a chain is known."""

_ADMIN_ROLES: Final = {
    "market": "simulator",
    "firehose": "firehose",
    "aggregator": "aggregator",
    "proxy": "proxy",
}
"""What the processes of a chain are, on the admin pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The port that each role listens on.

    Attributes:
        proxy: the filtered proxy's.
        aggregator: the ms-aggregator's.
        firehose: the firehose's.
    """

    proxy: int
    aggregator: int
    firehose: int

    @property
    def firehose_url(self) -> str:
        """Where the other roles find the firehose's stocks, and so all of its markets."""
        return f"ws://{LOOPBACK}:{self.firehose}/stocks"

    @property
    def aggregator_url(self) -> str:
        """Where the proxy finds the ms-aggregator's."""
        return f"ws://{LOOPBACK}:{self.aggregator}/stocks"


def own_command() -> tuple[str, ...]:
    """Return the command that runs this same package again, whatever the current directory holds."""
    return (sys.executable, "-P", "-m", "fproxy")


def own_path() -> dict[str, str]:
    """Return the variables that ``own_command`` needs to find this package, when it is not installed."""
    root = str(Path(fproxy.__file__).parents[1])
    if root in (*site.getsitepackages(), site.getusersitepackages()):
        return {}
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}


def chosen_port(port: int) -> int:
    """Return ``port``, or a free one for 0, because the next role of a chain must know it beforehand."""
    return port or free_port(LOOPBACK)


def role_child(
    name: str, *arguments: str, host: str, port: int, environment: Mapping[str, str], drain: float = 0.0
) -> Child:
    """Return the child that runs one role.

    Args:
        name: what to call it.
        arguments: its command and options, but for those of where it listens.
        host: the address that it listens on.
        port: the port of the same.
        environment: its settings that are not in ``arguments``.
        drain: over how long it lets its clients go when it stops, in seconds.
    """
    return Child(
        name=name,
        command=(*own_command(), *arguments, "--host", host, "--port", str(port)),
        host=_WILDCARD_HOSTS.get(host, host),
        port=port,
        answers=True,
        stop_timeout=STOP_TIMEOUT + drain,
        environment={**own_path(), **environment, "FPROXY_STOP_AT_EOF": "1"},
    )


def upstream_children(
    ports: Ports,
    *firehose_arguments: str,
    environment: Mapping[str, str],
) -> tuple[Child, ...]:
    """Return the firehose and the aggregator behind it, for this machine alone.

    Args:
        ports: where each listens.
        firehose_arguments: options of the firehose.
        environment: the settings of both.
    """
    return (
        role_child(
            "firehose",
            *("firehose", *firehose_arguments),
            host=LOOPBACK,
            port=ports.firehose,
            environment=environment,
        ),
        role_child(
            "aggregator",
            *("aggregator", "--firehose-url", ports.firehose_url),
            host=LOOPBACK,
            port=ports.aggregator,
            environment={**environment, **dict.fromkeys(_PLACES, "")},
        ),
    )


def proxy_child(ports: Ports, *, host: str, environment: Mapping[str, str], drain: float = 0.0) -> Child:
    """Return the filtered proxy behind the other two."""
    return role_child(
        "proxy",
        *("proxy", "--firehose-url", ports.firehose_url, "--ms-aggregator-url", ports.aggregator_url),
        host=host,
        port=ports.proxy,
        environment={**environment, **dict.fromkeys(_PLACES, "")},
        drain=drain,
    )


def stack_children(
    ports: Ports,
    *,
    host: str,
    flags: Mapping[str, str],
    internal_key: str,
    drain: float = 0.0,
) -> tuple[Child, ...]:
    """Return the roles of ``fproxy stack``, which find their settings where they always do.

    The clients' keys and limits are for the proxy alone.

    Args:
        ports: where each listens.
        host: the address that the proxy listens on.
        flags: settings given as flags, as environment variables.
        internal_key: the key with which they let each other in.
        drain: over how long the proxy lets its clients go when it stops, in seconds.
    """
    environment = {**flags, "FPROXY_INTERNAL_KEY": internal_key}
    return (
        *upstream_children(ports, environment={**environment, **dict.fromkeys(_PROXY_ALONE, "")}),
        proxy_child(ports, host=host, environment=environment, drain=drain),
    )


def demo_children(
    ports: Ports,
    simulator_port: int,
    *,
    markets: Iterable[Market],
    simulation: Sequence[str],
    log_level: str,
    settings: Iterable[str],
) -> tuple[Child, ...]:
    """Return the roles of ``fproxy demo``, which take nothing from the environment or from ``.env``.

    Args:
        ports: where the roles listen.
        simulator_port: where the simulated market does.
        markets: what is simulated and served.
        simulation: options of the simulated market.
        log_level: what they log.
        settings: the name of every setting that there is.
    """
    environment = {
        **dict.fromkeys(settings, ""),
        "FPROXY_ENV_FILE": os.devnull,
        "LOG_LEVEL": log_level,
        "FPROXY_MARKETS": ",".join(market.name for market in markets),
        "POLYGON_API_KEY": "demo",
        "FPROXY_CLIENT_KEYS": "*",
    }
    vendor_url = f"ws://{LOOPBACK}:{simulator_port}/stocks"
    return (
        role_child("market", "sim", *simulation, host=LOOPBACK, port=simulator_port, environment=environment),
        *upstream_children(ports, "--polygon-ws-url", vendor_url, environment=environment),
        proxy_child(ports, host=LOOPBACK, environment=environment),
    )


async def run_children(
    children: Sequence[Child], admin: AdminSettings, *, on_ready: Callable[[], None]
) -> int:
    """Run children until a signal asks to stop, with their output on standard error.

    Args:
        children: what to run, in the order in which to start it; clients connect to the last.
        admin: where the admin pages of all are served.
        on_ready: called once all of them accept connections.

    Returns:
        The exit status: 0 after a signal, 1 when a child could not start.
    """
    width = max(len(child.name) for child in children)
    colours = {child.name: _COLOURS[index % len(_COLOURS)] for index, child in enumerate(children)}

    def shown(name: str) -> str:
        text = f"{name:<{width}} |"
        return click.style(text, fg=colours[name]) if sys.stderr.isatty() else text

    relayed = [replace(child, environment={**child.environment, **CHILD_ENVIRONMENT}) for child in children]
    stop_timeout = sum(child.stop_timeout + 1 for child in children)
    with process_sockets({child.name: _ADMIN_ROLES[child.name] for child in children}) as sockets:
        supervisor = Supervisor(children_with_admin(relayed, sockets, admin), RelayedLog(shown).report)
        return await serve(
            with_joined_admin(supervisor, admin, sockets),
            on_ready=on_ready,
            on_reload=supervisor.reload,
            stop_timeout=stop_timeout,
        )


def command_name() -> str:
    """Return how this program was called, for examples that can be copied."""
    called = Path(sys.argv[0])
    return "python -m fproxy" if called.stem == "__main__" else sys.argv[0]


def demo_text(port: int, markets: Sequence[Market]) -> str:
    """Return what ``fproxy demo`` says once everything runs: what to connect, and how.

    Args:
        port: where the proxy listens.
        markets: what it serves, the first of them first.
    """
    urls = [f"ws://localhost:{port}{market.path}" for market in markets]
    lines = []
    for market, url in zip(markets, urls, strict=True):
        option = f" --market {market.name}" if port == 8765 else f" --url {url}"
        command = f"{command_name()} tail{option if market is not STOCKS or port != 8765 else ''}"
        if market is STOCKS:
            lines.append(f"{command} T.AAPL,Q.AAPL,A.AAPL,100Ms.AAPL")
        lines.append(f"{command} '*'")
    first = markets[0]
    topics = '"T.AAPL", "A.*"' if first is STOCKS else f'"{first.wildcards(Upstream.FIREHOSE)[0]}"'
    market_argument = "" if first is STOCKS else f', market="{first.name}"'
    return f"""
{"A simulated market is" if len(markets) == 1 else "Simulated markets are"} on. Any key is accepted at

{_indented(urls)}

Look at {"it" if len(markets) == 1 else "them"} from another terminal:

{_indented(lines)}

Or with the official Python client (pip install massive):

    from massive import WebSocketClient

    client = WebSocketClient(api_key="demo", feed="localhost:{port}"{market_argument}, secure=False)
    client.subscribe({topics})
    client.run(print)

Ctrl-C stops all of it.
"""


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
