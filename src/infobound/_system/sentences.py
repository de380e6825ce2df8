"""Sentences that hold values in nats until it is known in which unit they are shown.

A value is written as `{0.6931471805599453:.2f nats}` with the unit after it, or without the word
for a number alone. The sentence is stored in this form, and `worded` writes it in a unit.
"""

from __future__ import annotations

import re

from infobound._system.units import scale

__all__ = ["bare", "nats", "worded"]

VALUE = re.compile(r"\{(-?(?:[\d.]+(?:e[+-]?\d+)?|inf|nan)):([+z]{0,2}\.\d{1,2}[fg])( nats)?\}")


def nats(value: float, form: str = ".2f") -> str:
    """Return a value in nats as a part of a sentence, followed by its unit.

    Args:
        value: the value, in nats.
        form: how it is formatted.

    Example:
        >>> f"The gap is {nats(0.5)}."
        'The gap is {0.5:.2f nats}.'
    """
    return f"{{{float(value)!r}:{form} nats}}"


def bare(value: float, form: str = ".2f") -> str:
    """Return a value in nats as a part of a sentence that names the unit elsewhere."""
    return f"{{{float(value)!r}:{form}}}"


def worded(sentence: str, units: str) -> str:
    """Write a sentence with its values in a unit.

    Args:
        sentence: text with values by `nats` and `bare`.
        units: "nats" or "bits".

    Raises:
        InputError: If the units are neither.

    Example:
        >>> import math
        >>> worded(f"{bare(math.log(2))} to {nats(math.log(4))}, {nats(1, '.3g')}", "bits")
        '1.00 to 2.00 bits, 1.44 bits'
        >>> worded(f"within {nats(1, '.3g')}", "nats")
        'within 1 nat'
    """
    divisor = scale(units)

    def written(found: re.Match[str]) -> str:
        number = format(float(found[1]) / divisor, found[2])
        if found[3] is None:
            return number
        return f"{number} {units[:-1] if number == '1' else units}"

    return VALUE.sub(written, sentence)
