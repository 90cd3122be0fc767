"""fproxy: a filtered WebSocket proxy for market data."""

from importlib.metadata import version

__version__: str = version("fproxy")
