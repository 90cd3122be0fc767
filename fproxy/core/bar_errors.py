"""What a bar builder refuses."""


class TooManyIntervalsError(ValueError):
    """One symbol, or all symbols, would be wanted at too many intervals at once; the message says how many may be."""
