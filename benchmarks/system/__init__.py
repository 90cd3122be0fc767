"""The whole-system benchmark: fproxy and its peers on the same work in the same run.

    python -m benchmarks.system             every workload, every program, three runs each (most of an hour)
    python -m benchmarks.system --workloads sparse,hot --programs floor,fproxy --runs 5 --output r.json --plot r.png
    python -m benchmarks.system --report r.json --plot r.png        tables and plot again, from results kept
    python -m benchmarks.system --list                              the workloads and the programs

A cell is one program on one workload. In a cell a *source* plays a seeded tape to the program under test, which is
pinned on a core of its own, and *clients* (one epoll loop for all of them) compare every byte that they receive with
what an oracle says they should: the oracle decodes the tape with ``json`` and applies the grammar of topics. Source
and clients are C++ programs, compiled with ``g++`` when they are first needed, and run on the other core.

What is measured, in each run of a cell after a warm-up:

- CPU microseconds of the program under test (its whole process tree, by the kernel's process clocks) per event played
  and per event delivered;
- events a second, from the start of the play to the last delivery;
- at a fixed rate, how late events reach clients, counted from when each was *due*, not from when it could be sent;
- peak memory (``VmHWM``), the largest message, and what was lost, repeated, altered or sent unasked.

Runs are interleaved (A B C, A B C, ...) and reported as medians. Flat out, how many events a program gets is set by
its own speed, so that every program is measured for about ``--seconds``; ``--events`` fixes the number instead. The
source stays at most ``--window`` events ahead of the slowest client, so that the clients, which share a core with the
source, do not look like slow consumers; 0 leaves only TCP's own backpressure.
"""
