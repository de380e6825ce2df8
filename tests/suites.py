"""The suites of tasks, each made once: the truths of some are slow integrals."""

import functools

from infobound.benchmark import tasks

suite = functools.cache(tasks.suite)
