"""Numbers as text: values in nats are converted to the unit that is shown."""

from __future__ import annotations

from infobound._system.units import scale

__all__ = ["columns", "maybe", "number", "p_value", "percent", "signed", "small", "span"]

NONE = "–"


def number(nats: float, units: str, digits: int = 3) -> str:
    """Format a value in nats as a number in the unit; never -0.000.

    Example:
        >>> import math
        >>> number(-1e-9, "nats"), number(math.log(2), "bits")
        ('0.000', '1.000')
    """
    return f"{nats / scale(units):z.{digits}f}"


def signed(nats: float, units: str) -> str:
    """Format a value in nats with its sign.

    Example:
        >>> signed(0.25, "nats"), signed(0.0, "nats")
        ('+0.250', '0.000')
    """
    text = number(nats, units)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def maybe(nats: float | None, units: str) -> str:
    """Format a value in nats; None is a dash."""
    return NONE if nats is None else number(nats, units)


def span(ends: tuple[float, float], units: str) -> str:
    """Format the ends of an interval in nats.

    Example:
        >>> span((0.1, 0.25), "nats")
        '0.100 to 0.250'
    """
    low, high = (number(end, units) for end in ends)
    return f"{low} to {high}"


def p_value(value: float) -> str:
    """Format a p-value.

    Example:
        >>> p_value(0.0123), p_value(1e-6)
        ('p = 0.012', 'p < 0.001')
    """
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"


def small(value: float) -> str:
    """Format a p-value or q-value of a table.

    Example:
        >>> small(0.0123), small(1e-6), small(0.0)
        ('0.012', '1e-06', '<1e-15')
    """
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}" if value >= 1e-15 else "<1e-15"


def percent(level: float) -> str:
    """Format a confidence level.

    Example:
        >>> percent(0.95)
        '95 %'
    """
    return f"{100 * level:.4g} %"


def columns(count: int) -> str:
    """Format a number of columns.

    Example:
        >>> columns(1), columns(12)
        ('1 column', '12 columns')
    """
    return f"{count:,} column" + ("" if count == 1 else "s")
