"""fproxy: a filtered WebSocket proxy for market data."""


def __getattr__(name: str) -> str:
    # Most programs never ask, and looking it up takes longer than all else that loading this package does.
    if name != "__version__":
        raise AttributeError(f"module 'fproxy' has no attribute {name!r}")
    from importlib.metadata import version

    return version("fproxy")
