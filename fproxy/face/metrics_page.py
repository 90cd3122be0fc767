"""The metrics of a process, served over HTTP for Prometheus to read."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server


class MetricsPageError(Exception):
    """The metrics cannot be served; the message says where, and why not."""


@contextlib.contextmanager
def metrics_page(host: str, port: int | None, registry: CollectorRegistry) -> Iterator[int | None]:
    """Serve metrics, from a thread of their own, while the context lasts.

    Args:
        host: the address to listen on.
        port: the port; 0 lets the system choose a free one; None serves nothing.
        registry: what to serve.

    Yields:
        The port listened on; None when nothing is served.

    Raises:
        MetricsPageError: the port is in use or not allowed, or the host is not one of this machine's.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise MetricsPageError(f"cannot serve metrics on port {port} of {host}: {error.strerror}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
