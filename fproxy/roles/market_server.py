"""The server of a role: one for all of its markets, each on the vendor's own path."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fproxy.core.client_keys import ClientKeys
from fproxy.core.market import Market
from fproxy.metrics import Metrics
from fproxy.roles.settings import ServerSettings
from fproxy.shell.client_handler import ClientHandler
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.server import ClientServer


def market_server(
    handlers: Mapping[Market, ClientHandler],
    settings: ServerSettings,
    metrics: Metrics,
    *,
    denials: Mapping[Market, str] = MappingProxyType({}),
) -> ClientServer:
    """Return a server of markets, to be started.

    The server greets on the markets' paths, as the vendor's own clients expect. On ``/``, which is the first market, it
    does not: programs written for that take the first message for the answer to their auth.

    Args:
        handlers: who serves each market; at least one.
        settings: what the server is told.
        metrics: where to count.
        denials: the markets that nobody is let into, each with what clients are told.
    """
    endpoints = [
        Endpoint(market.path, greets=True, market=market, handler=handler, denial=denials.get(market))
        for market, handler in handlers.items()
    ]
    endpoints.append(replace(endpoints[0], path="/", greets=False))
    return ClientServer(
        endpoints,
        keys=ClientKeys(settings.client_keys, settings.named_keys, salt=settings.account_salt),
        metrics=metrics,
        host=settings.host,
        port=settings.port,
        limits=settings.limits,
        max_clients=settings.max_clients,
        connection_limits=settings.connections,
        reuse_port=settings.reuse_port,
        listening=settings.listening,
        ssl_context=settings.tls.context(),
        close_code=settings.close_code,
        drain=settings.drain,
    )
