"""Holding up upstreams while clients lag whose policy is to block them."""

from collections import Counter

from fproxy.shell.client_handler import ClientHandler, HoldingHandler


class UpstreamHold:
    """Counts, for each role's market, the clients that want its upstreams held up."""

    def __init__(self) -> None:
        self._lagging: Counter[ClientHandler] = Counter()

    def change(self, handler: ClientHandler, holding: bool) -> None:
        """One more client of a market lags, or one less. Its upstreams are held up from the first to the last one."""
        if not isinstance(handler, HoldingHandler):
            return
        self._lagging[handler] += 1 if holding else -1
        if self._lagging[handler] == int(holding):
            handler.hold(holding)
