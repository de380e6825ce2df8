"""Exceptions for errors that a user can correct, and the warning for faults that stop nothing.

A message says what was expected, what was found, and the remedy. The command line prints an
`InputError` without a traceback and exits with code 2; it prints a warning and continues.
"""

__all__ = ["FaultWarning", "InputError", "LostRank"]


class InputError(ValueError):
    """An error in the caller's input, settings or files that the caller can correct."""


class LostRank(InputError):
    """A rank has not answered. Every other rank raises it, because rank 0 may be the dead one."""


class FaultWarning(RuntimeWarning):
    """A fault that does not stop the run, such as a graph not written or a damaged checkpoint."""
