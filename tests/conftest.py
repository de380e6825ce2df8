"""Tests run in as many processes as there are cores, each on one thread."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes inherit it


@pytest.fixture
def no_pictures(monkeypatch):
    import pictures

    pictures.leave_out(monkeypatch)


@pytest.fixture(scope="session")
def results():
    """A result of each kind, by name."""
    from results_of_each_kind import MADE

    return {name: make() for name, make in MADE.items()}
