"""Results as tables and as a plot: medians of the runs, and their ratios to the floor's."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.system.cell import FAULTS
from benchmarks.system.workloads import Workload

REFERENCE: Final = "floor"
"""The program that the others' ratios are to."""

ACCEPTED_MESSAGE_BYTES: Final = 1_000_000
"""The largest message that all of the vendor's clients accept; its Go client drops the connection at a larger one."""

Measurements = Sequence[dict[str, Any]]


def _median(runs: Measurements, key: str) -> float | None:
    values = [run[key] for run in runs if run.get(key) is not None]
    return float(median(values)) if values else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    for limit, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "-" if value is None or not reference else f"{value / reference:.2f}x"


def _faults(runs: Measurements) -> str:
    """Say what went wrong in any run; the counts are of the worst one."""
    worst = {fault: max(int(run[fault]) for run in runs) for fault in FAULTS}
    found = []
    for fault, count in worst.items():
        if count:
            expected = max(run["expected"] for run in runs)
            share = f" ({count / expected:.1%})" if fault == "lost" and expected else ""
            found.append(f"{count:,} {fault}{share}")
    largest = max(int(run["largest_message"]) for run in runs)
    if largest > ACCEPTED_MESSAGE_BYTES:
        found.append(f"messages of {largest / 1e6:.1f} MB")
    return ", ".join(found) or (
        "none" if all(run["correct"] for run in runs) else "deliveries not as expected"
    )


_Column = tuple[str, str, bool]  # heading, key, whether a ratio to the reference follows
_FLAT_OUT: Final[tuple[_Column, ...]] = (
    ("CPU us/event", "cpu_us_per_event", True),
    ("CPU ns/byte", "cpu_ns_per_byte", False),
    ("of the busiest process", "busiest_process_us_per_event", False),
    ("CPU us/delivery", "cpu_us_per_delivery", False),
    ("events/s", "events_per_s", False),
    ("bytes a topic", "bytes_per_topic", False),
    ("peak MiB", "peak_mib", False),
)
_PACED: Final[tuple[_Column, ...]] = (
    ("CPU us/event", "cpu_us_per_event", True),
    ("p50 us", "p50_us", True),
    ("p99 us", "p99_us", True),
    ("p99.9 us", "p999_us", False),
    ("source's own p99 us", "source_late_p99_us", False),
    ("peak MiB", "peak_mib", False),
)
_IDLE: Final[tuple[_Column, ...]] = (
    ("KiB each", "idle_kib_each", True),
    ("connect s", "idle_connect_s", True),
    ("p99 us before", "undisturbed_p99_us", False),
    ("p99 us while connecting", "p99_us", False),
    ("max us while connecting", "max_us", False),
    ("p99 us after", "beside_p99_us", False),
)
_STORM: Final[tuple[_Column, ...]] = (
    ("10,000 topics ms", "storm_bulk_ms", True),
    ("1,000 single ms", "storm_singles_ms", True),
    ("p99 us before", "undisturbed_p99_us", False),
    ("p99 us meanwhile", "p99_us", False),
    ("max us before", "undisturbed_max_us", False),
    ("max us meanwhile", "max_us", False),
)


def columns(workload: Workload) -> tuple[_Column, ...]:
    """Return what the table of a workload shows, where a program has a value for it."""
    if workload.idle_clients:
        return _IDLE
    if workload.storm:
        return _STORM
    return _FLAT_OUT if workload.rate is None else _PACED


def markdown(workloads: Iterable[Workload], programs: Sequence[str], results: dict[str, Any]) -> str:
    """Return a table for each workload: a line for each program, medians over its runs.

    Args:
        workloads: in the order of the tables.
        programs: in the order of the lines.
        results: as ``python -m benchmarks.system --output`` writes them.
    """
    parts = []
    for workload in workloads:
        runs = {
            program: [
                cell
                for cell in results["cells"]
                if (cell["workload"], cell["program"]) == (workload.name, program)
            ]
            for program in programs
        }
        if not any(runs.values()):
            continue
        cells_shown = [cell for cells in runs.values() for cell in cells]
        shown = [column for column in columns(workload) if any(cell.get(column[1]) for cell in cells_shown)]
        heading = ["program"]
        for title, _, compared in shown:
            heading += [title, f"/ {REFERENCE}"] if compared else [title]
        lines = [[*heading, "runs", "faults"]]
        reference = [cell for cell in runs.get(REFERENCE, []) if "error" not in cell]
        for program, cells in runs.items():
            good = [cell for cell in cells if "error" not in cell]
            if good:
                line = [program]
                for _, key, compared in shown:
                    value = _median(good, key)
                    line += (
                        [_number(value), _ratio(value, _median(reference, key))]
                        if compared
                        else [_number(value)]
                    )
                lines.append([*line, str(len(good)), _faults(good)])
            for error in sorted({cell["error"] for cell in cells if "error" in cell}):
                lines.append([program, *["-"] * (len(heading) - 1), "0", f"failed: {error}"])
        parts.append(f"### {workload.name}: {workload.description}\n\n{_table(lines)}\n")
    missing = results.get("skipped", {})
    if missing:
        parts.append("Skipped: " + "; ".join(f"{name} ({reason})" for name, reason in missing.items()) + "\n")
    return "\n".join(parts)


def _table(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def row(cells: list[str], pad: Callable[[str, int], str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return (
            "| "
            + " | ".join([first[0].ljust(first[1]), *(pad(cell, width) for cell, width in others)])
            + " |"
        )

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([row(lines[0], str.rjust), rule, *(row(line, str.rjust) for line in lines[1:])])


def plot(workloads: Iterable[Workload], programs: Sequence[str], results: dict[str, Any], path: Path) -> None:
    """Draw CPU per event on every workload, and median and p99 latency on the paced ones.

    Args:
        workloads: as for ``markdown``.
        programs: as for ``markdown``.
        results: as for ``markdown``.
        path: the picture to write; its suffix chooses the format.

    Raises:
        ImportError: matplotlib is not installed.
    """
    # Needed for this alone, and not one of the project's dependencies.
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")

    present = [
        workload
        for workload in workloads
        if any(cell["workload"] == workload.name and "error" not in cell for cell in results["cells"])
        and not workload.idle_clients
        and not workload.storm
    ]
    panels: list[tuple[str, list[Workload], str]] = [
        ("CPU per event, flat out (us)", [w for w in present if w.rate is None], "cpu_us_per_event"),
        (
            "CPU per event, at a fixed rate (us)",
            [w for w in present if w.rate is not None],
            "cpu_us_per_event",
        ),
        (
            "Median latency from when the event was due (us)",
            [w for w in present if w.rate is not None],
            "p50_us",
        ),
        (
            "p99 latency from when the event was due (us)",
            [w for w in present if w.rate is not None],
            "p99_us",
        ),
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(12, 3.6 * len(panels)), squeeze=False)
    colours = pyplot.get_cmap("tab10")
    for axis, (title, shown, key) in zip(axes[:, 0], panels, strict=True):
        width = 0.84 / len(programs)
        for number, program in enumerate(programs):
            heights = [
                _median(
                    [
                        cell
                        for cell in results["cells"]
                        if (cell["workload"], cell["program"]) == (workload.name, program)
                        and "error" not in cell
                    ],
                    key,
                )
                for workload in shown
            ]
            places = [place + (number - (len(programs) - 1) / 2) * width for place in range(len(shown))]
            bars = [(place, height) for place, height in zip(places, heights, strict=True) if height]
            if bars:
                axis.bar(*zip(*bars, strict=True), width, label=program, color=colours(number % 10))
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(pyplot.NullFormatter())
        axis.set_xticks(range(len(shown)), [workload.name for workload in shown])
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(
        ncols=min(len(programs), 9), fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.08), frameon=False
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
