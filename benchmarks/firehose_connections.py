"""What each further connection costs a firehose: ``python -m benchmarks.firehose_connections``.

``fproxy --workers N`` makes N connections to its firehose, each of which is sent everything. Here 1, 2, 4 and 8 clients
take the whole stream of ``fproxy firehose``, flat out, every byte checked, by turns: what they cost it, as the system
benchmark measures CPU time (docs/performance.md).
"""

import argparse
import sys
from pathlib import Path
from statistics import median

from benchmarks.peers import UnavailableError
from benchmarks.system.cell import Cell, Material, Options, default_cores, prepare_load
from benchmarks.system.oracle import Oracle
from benchmarks.system.processes import CellError
from benchmarks.system.programs import FIREHOSE, ROOT
from benchmarks.system.workloads import Workload

CONNECTIONS = (1, 2, 4, 8)


def main() -> int:
    """Measure, and print a table. Return the exit status: 1 when something was lost or could not be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.firehose_connections", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each number (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="for all files")
    asked = parser.parse_args()
    results = asked.results.resolve()
    (results / FIREHOSE.name).mkdir(parents=True, exist_ok=True)
    program_cores, load_cores = default_cores()
    options = Options(results, seconds=asked.seconds, program_cores=program_cores, load_cores=load_cores)
    oracles: dict[Path, Oracle] = {}
    costs: dict[int, list[float]] = {number: [] for number in CONNECTIONS}
    try:
        prepare_load(options)
        FIREHOSE.prepare(results / FIREHOSE.name)
        for _ in range(asked.runs):
            for number in CONNECTIONS:
                workload = Workload(f"everything-{number}", "the whole stream", (("*",),) * number)
                cell = Cell(workload, FIREHOSE, Material(workload, results, oracles), options).run()
                if not cell["correct"]:
                    raise CellError(f"{number} connections: not everything was delivered as it should")
                costs[number].append(cell["cpu_us_per_event"])
    except (UnavailableError, CellError) as error:
        print(error, file=sys.stderr)
        return 1
    print("| connections | CPU us/event | / one connection |\n| ---: | ---: | ---: |")
    for number in CONNECTIONS:
        cost = median(costs[number])
        print(f"| {number} | {cost:.3f} | {cost / median(costs[CONNECTIONS[0]]):.2f}x |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
