"""What a bar builder refuses."""


class BarLimitError(ValueError):
    """Somebody wants more bars than may be; the message says how many may be."""


class TooManyIntervalsError(BarLimitError):
    """One symbol, or all symbols, would be wanted at too many intervals at once."""


class TooManyWindowsError(BarLimitError):
    """Too many bars are under construction to begin with more."""
