"""Tables of independent computations: in parallel, each on disk at once, resumable.

It takes a function and keys, and knows no tasks, no estimators and no studies.
"""
