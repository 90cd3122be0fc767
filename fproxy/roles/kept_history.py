"""The history that a role keeps, by its settings, and what the metrics say of it."""

import math

from fproxy._fastpath import History
from fproxy.metrics import MarketMetrics
from fproxy.roles.settings import HistorySettings


def kept_history(settings: HistorySettings, metrics: MarketMetrics) -> History | None:
    """Return the history that settings ask for, watched by the metrics; None when they ask for none."""
    if not settings.keeps_anything:
        return None
    history = History(max_bytes=settings.history_bytes, span_ms=math.ceil(settings.history * 1000))
    metrics.watch_history(history)
    return history
