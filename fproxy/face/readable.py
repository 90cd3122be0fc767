"""Numbers, sizes and times as people read them at a glance."""


def short(value: float | None) -> str:
    """Return a number as people read it: ``812``, ``45.3k``, ``1.2M``; a dash for none."""
    if value is None:
        return "-"
    for size, divisor, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= size:
            return f"{value / divisor:.1f}{unit}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def size_text(value: float | None) -> str:
    """Return a number of bytes as people read it: ``512 B``, ``1.5 MiB``; a dash for none."""
    if value is None:
        return "-"
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def time_text(value: float | None) -> str:
    """Return seconds as people read them: ``310 us``, ``4.2 ms``, ``1.5 s``; a dash for none."""
    if value is None:
        return "-"
    if abs(value) < 1e-3:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.1f} ms" if abs(value) < 1 else f"{value:.1f} s"
