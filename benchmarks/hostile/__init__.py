"""What the benchmarks of a proxy under attack share: a source, healthy clients that measure, and those that are not.

Everything runs on this machine and connects only to it, bounded in number and in time.
"""
