"""The last events that a market keeps, by its settings, and what the metrics say of them."""

from fproxy._fastpath import Snapshots
from fproxy.metrics import MarketMetrics
from fproxy.roles.settings import FilteredProxySettings


def kept_snapshots(settings: FilteredProxySettings, metrics: MarketMetrics) -> Snapshots | None:
    """Return what keeps the last event of each topic, watched by the metrics; None when settings ask for none."""
    if not settings.snapshot_bytes:
        return None
    snapshots = Snapshots(max_bytes=settings.snapshot_bytes)
    metrics.watch_snapshots(snapshots)
    return snapshots
