"""Runs and studies that the version before this layout wrote are continued and read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import infobound
from infobound.benchmark.study import study

pytestmark = pytest.mark.usefixtures("no_pictures")
STORED = Path(__file__).parent / "stored"  # written by the last version with flat modules


def test_a_stopped_run_is_continued_to_the_result_of_then(tmp_path):
    shutil.copytree(STORED / "run", tmp_path / "run")
    expected = json.loads((STORED / "expected.json").read_text())
    found = infobound.resume(tmp_path / "run")
    # Another machine's float32 sums differ in their last bits.
    assert found.mi == pytest.approx(expected["mi"], abs=1e-3)
    assert found.held_out == pytest.approx(expected["held_out"], abs=1e-3)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["mi"] == found.mi


def test_a_study_is_extended_and_its_cells_are_kept(tmp_path):
    shutil.copytree(STORED / "study", tmp_path / "study")
    (cell,) = (tmp_path / "study" / "cells").iterdir()
    before = cell.read_bytes()
    x, noise = np.random.default_rng(0).normal(size=(2, 60))
    (tmp_path / "files").mkdir()
    np.savez(tmp_path / "files" / "other.npz", x=x, y=x + noise, mi=0.3466)
    plan = {"sizes": [40], "seeds": 1, "jobs": 1, "estimators": ["gaussian"]}
    found = study("stored", files=tmp_path / "files", out=tmp_path / "study", **plan)
    assert sorted(row.task for row in found.rows) == ["other", "pair"]
    assert cell.read_bytes() == before
