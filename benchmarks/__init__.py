"""Measurements of fproxy: its parts with pytest-benchmark (see README.md), the whole of it with benchmarks.system."""
