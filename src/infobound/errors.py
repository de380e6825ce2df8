"""The one exception for what a user can mend.

Its message says what was expected, what was found, and the remedy. The command line prints it
without a traceback and exits with code 2.
"""

__all__ = ["InputError"]


class InputError(ValueError):
    """Something in the caller's input, settings or files that the caller can mend."""


class Lost(InputError):
    """A rank has not answered. All others say so, for the first of them may be the dead one."""
