"""Tables of independent computations: parallel, saved one by one, and resumable.

The runner takes a function and keys; it does not depend on tasks, estimators or studies.
"""
