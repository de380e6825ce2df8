"""Tests run in as many processes as there are cores, each on one thread."""

import gc
import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes inherit it

# A test that does not ask for processes computes in its own: those of joblib import torch again.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

# Sources are compiled, and assertions rewritten, once and not in each process of each run: that is
# half the time of collecting the tests. Git ignores the bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_finish():
    """Modules and tests stay to the end: no garbage is sought among them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture
def no_pictures(monkeypatch):
    import pictures

    pictures.leave_out(monkeypatch)


@pytest.fixture
def few_steps(monkeypatch):
    """Networks that classify are trained for fewer steps: where accuracy is not the question."""
    from infobound.models import posteriors

    monkeypatch.setattr(posteriors, "FEWEST_STEPS", 40)


@pytest.fixture(scope="session")
def results():
    """A result of each kind, by name; each is made when a test first asks for it."""
    from results_of_each_kind import Made

    return Made()
