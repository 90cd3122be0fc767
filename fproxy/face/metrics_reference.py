"""The documentation of the metrics, read off the roles themselves: ``python -m fproxy.face.metrics_reference``.

It writes ``docs/metrics.md`` of the directory that it is run in.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import Metric, disable_created_metrics

from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings

_HEAD: Final = """\
# Metrics

Written by `python -m fproxy.face.metrics_reference`. They are at `/metrics` of the admin port, in Prometheus' formats;
in a stack and with workers the label `process` says whose each is. Counters end in `_total` there.

What to watch first: `fproxy_stream_state` (`up` is 0 in an outage, also when it is the vendor behind the firehose
that is lost), `fproxy_slow_consumers_total` (a program of yours does not keep up), `fproxy_refused_frames_total` (an
upstream sends broken JSON), `fproxy_loop_lag_seconds` (the machine is too busy).

| metric | kind | labels | roles | what it tells |
| --- | --- | --- | --- | --- |
"""


def families_by_role() -> Iterator[tuple[str, Metric, tuple[str, ...]]]:
    """Yield every metric of every role that has not started, with the role's name and the labels that it may have."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    for role in ("proxy", "firehose", "aggregator", "sim"):
        metrics = Metrics()
        match role:
            case "proxy":
                settings = FilteredProxySettings()
                FilteredProxy(replace(settings, resume=True), metrics)
            case "firehose":
                Firehose(FirehoseSettings(), metrics)
            case "aggregator":
                Aggregator(AggregatorSettings(), metrics)
            case _:
                Simulator(SimulatorSettings(), metrics)
        for family in metrics.registry.collect():
            found = {label for sample in family.samples for label in sample.labels} - {"le"}
            declared: tuple[str, ...] = getattr(family, "_labelnames", ())
            declared = metrics.label_names.get(family.name, declared)
            yield role, family, tuple(sorted(found.union(declared)))


def reference() -> str:
    """Return ``docs/metrics.md``."""
    roles: dict[str, list[str]] = {}
    rows: dict[str, tuple[str, str]] = {}
    labels: dict[str, set[str]] = {}
    for role, family, names in families_by_role():
        roles.setdefault(family.name, []).append(role)
        rows[family.name] = (family.type, family.documentation)
        labels.setdefault(family.name, set()).update(names)
    lines = [_HEAD]
    for name in sorted(rows, key=lambda name: (not name.startswith("fproxy_"), name)):
        kind, documentation = rows[name]
        of = "all" if len(roles[name]) == 4 else ", ".join(roles[name])
        shown = ", ".join(f"`{label}`" for label in sorted(labels.get(name, ())))
        lines.append(f"| `{name}` | {kind} | {shown} | {of} | {documentation} |\n")
    return "".join(lines)


if __name__ == "__main__":
    Path("docs", "metrics.md").write_text(reference(), encoding="utf-8")
