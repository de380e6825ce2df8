"""Tests run in as many processes as there are cores, each on one thread."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes inherit it


@pytest.fixture
def no_pictures(monkeypatch):
    import pictures

    pictures.leave_out(monkeypatch)
