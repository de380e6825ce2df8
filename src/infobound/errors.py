"""The one exception for what a user can mend, and the warning for what mended itself.

Its message says what was expected, what was found, and the remedy. The command line prints it
without a traceback and exits with code 2; of a warning it prints the sentence and goes on.
"""

__all__ = ["FaultWarning", "InputError", "LostRank"]


class InputError(ValueError):
    """Something in the caller's input, settings or files that the caller can mend."""


class LostRank(InputError):
    """A rank has not answered. All others say so, for the first of them may be the dead one."""


class FaultWarning(RuntimeWarning):
    """What could not be done or kept, and stops nothing: a graph, a damaged checkpoint."""
