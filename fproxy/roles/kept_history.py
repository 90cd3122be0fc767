"""The history that a role keeps, by its settings, and what the metrics say of it."""

import math
from typing import Final

from fproxy._fastpath import History
from fproxy.metrics import MarketMetrics
from fproxy.roles.settings import HistorySettings
from fproxy.shell.clock import unix_ms
from fproxy.shell.work_steps import Steps

TRIM_INTERVAL: Final = 1.0
"""How long a message may outlive its time while none comes, in seconds."""


def trimming(history: History) -> Steps:
    """Forget what is too old, again and again: no message that comes does it in quiet hours."""
    while True:
        yield TRIM_INTERVAL
        history.trim(unix_ms())


def kept_history(settings: HistorySettings, metrics: MarketMetrics) -> History | None:
    """Return the history that settings ask for, watched by the metrics; None when they ask for none."""
    if not settings.keeps_anything:
        return None
    history = History(max_bytes=settings.history_bytes, span_ms=math.ceil(settings.history * 1000))
    metrics.watch_history(history)
    return history
