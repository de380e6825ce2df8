"""Rows that are more than memory holds: the same estimate, in bounded memory."""

import dataclasses
import json

import numpy as np
import pandas as pd
import peaks
import pytest
from safetensors.numpy import load_file

from infobound import data
from infobound._system import files, memory
from infobound.config import Config
from infobound.data import pair as pairs
from infobound.errors import InputError
from infobound.estimation import crossfit, selection
from infobound.estimation.estimate import estimate
from infobound.files import readers
from infobound.files.formats import parquet
from infobound.training.run_directory import Run

FAST = Config(n_iters=10, hidden_dim=8, embedding_dim=2, folds=2, eval_rows=90)
CAPPED = {"estimator": "gaussian", "certify": False, "n_iters": 1, "batch_size": 2}


def rows(n, d=2, seed=0, mi=0.5):
    """(n, 2 d): normal x and y of this MI."""
    rho = np.sqrt(1 - np.exp(-2 * mi / d))
    x, noise = np.random.default_rng(seed).normal(size=(2, n, d))
    return np.concatenate([x, rho * x + np.sqrt(1 - rho**2) * noise], axis=1)


@pytest.fixture
def no_memory(monkeypatch):
    """Nothing fits in memory, and pieces are small."""
    monkeypatch.setattr(memory, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(memory, "PIECE", 1000)
    monkeypatch.setattr(parquet, "BATCH", 100)


def mapped(array):
    """Whether an array is a view of a memory-mapped file."""
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize("names", ["x0,x1 y0,y1", "y0 x1,x0"])
def test_rows_on_disk_are_those_of_the_file(tmp_path, no_memory, names):
    values, columns = rows(1300), ["x0", "x1", "y0", "y1"]
    table = pd.DataFrame(values, columns=columns, index=np.arange(1300)[::-1])
    table.to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "t.npy", values)
    x, y = (part.split(",") for part in names.split())
    for name in ("t.parquet", "t.npy"):
        chosen = [
            side if name == "t.parquet" else [str(columns.index(each)) for each in side]
            for side in (x, y)
        ]
        pair = readers.read(tmp_path / name, x=chosen[0], y=chosen[1])
        for ours, theirs in ((pair.x, table[x]), (pair.y, table[y])):
            assert mapped(ours)
            assert np.array_equal(ours, theirs)
    run = Run.create(tmp_path / "run", record={}, rows={"x": pair.x, "y": pair.y})
    assert mapped(run.load_rows("rows")["x"])
    for stored in (run.load_rows("rows"), load_file(run.path / "rows.safetensors")):
        assert np.array_equal(stored["x"], pair.x)
        assert np.array_equal(stored["y"], pair.y)


@pytest.mark.parametrize("kind", [">f8", ">f4", "?", "<i4"])
def test_other_numbers_on_disk_survive_a_run(tmp_path, no_memory, kind):
    values = rows(200) > 0 if kind == "?" else (10 * rows(200)).astype(kind)
    np.save(tmp_path / "t.npy", values)
    pair = readers.read(tmp_path / "t.npy", x=["0:1"], y=["2:3"])
    stored = Run.create(tmp_path / "run", record={}, rows={"x": pair.x, "y": pair.y})
    assert np.array_equal(stored.load_rows("rows")["x"], values[:, :2])
    assert np.array_equal(load_file(stored.path / "rows.safetensors")["y"], values[:, 2:])


def test_rows_on_disk_give_the_estimate_of_rows_in_memory_to_the_bit(
    tmp_path, monkeypatch, no_memory
):
    values = rows(900)
    np.save(tmp_path / "t.npy", values)
    plain = estimate(values[:, :2], values[:, 2:], config=FAST)
    monkeypatch.setattr(selection, "VALUES", 2_000)  # test rows are transformed by the block, too
    stored = readers.read(tmp_path / "t.npy", x=["0:1"], y=["2:3"])
    assert mapped(stored.x)
    found = estimate(stored, config=FAST)
    names = {"x_names": plain.x_names, "y_names": plain.y_names}
    assert dataclasses.replace(found, **names) == plain


def test_what_is_wrong_with_rows_on_disk_is_said_as_of_rows_in_memory(
    tmp_path, monkeypatch, no_memory
):
    values = rows(700)
    values[[3, 650], [0, 2]] = np.nan
    table = pd.DataFrame(values, columns=list("abcd"))
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv")
    said = []
    for name in ("t.parquet", "t.csv"):
        with pytest.raises(InputError) as caught:
            readers.read(tmp_path / name, x=["a", "b"], y=["c"])
        said.append(str(caught.value).replace(name, ""))
    assert said[0] == said[1]
    assert "2 of 700 rows with missing values" in said[0]
    ours, theirs = (
        readers.read(tmp_path / name, x=["a", "b"], y=["c"], drop_missing=True)
        for name in ("t.parquet", "t.csv")
    )
    assert mapped(ours.x)
    assert len(ours.x) == 698
    assert ours.notes == theirs.notes
    assert np.array_equal(ours.x, theirs.x)
    assert np.array_equal(ours.y, theirs.y)
    np.save(tmp_path / "t.npy", np.nan_to_num(values, nan=np.inf))
    with pytest.raises(InputError, match=r"infinite ones .* in columns 0 \(1\), 2 \(1\)"):
        readers.read(tmp_path / "t.npy", x=["0", "1"], y=["2"])
    monkeypatch.setattr(memory.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="TMPDIR"):
        readers.read(tmp_path / "t.parquet", x=["b"], y=["d"])


def test_large_integers_and_text_in_parquet_are_judged_as_before(tmp_path):
    table = pd.DataFrame({"a": 2**60 + np.arange(50), "b": ["u", "v"] * 25, "c": np.arange(50)})
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="float64 distinguishes in column a"):
        readers.read(tmp_path / "t.parquet", x=["a"], y=["c"])
    assert readers.read(tmp_path / "t.parquet", x=["b"], y=["c"]).x_names == ("b=v",)


def test_more_than_the_disk_holds_is_refused_before_it_is_written():
    rows = iter([(0, np.ones((1, 2)))])
    with pytest.raises(InputError, match=r"Expected room for 16000\.0 GB in .*TMPDIR"):
        memory.assemble_rows(rows, 10**12, 2)
    assert next(rows)[0] == 0


def test_rows_without_columns_are_one_piece(tmp_path):
    assert list(memory.row_slices(10**18, 0)) == [slice(0, 10**18)]
    header = {"dtype": "F64", "shape": [10**18, 0], "data_offsets": [0, 0]}
    text = json.dumps({"__metadata__": {"digest": "0"}, "x": header}).encode()
    (tmp_path / "rows.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(InputError, match="its checksum differs"):
        files.read_arrays(tmp_path / "rows.safetensors")


def test_parts_on_disk_may_come_in_any_order(no_memory):
    values = rows(300)
    parts = [(at, values[at : at + 70]) for at in (140, 0, 280, 70, 210)]
    found = memory.assemble_rows(parts, 300, 4)
    assert mapped(found)
    assert np.array_equal(found, values)


def test_kinds_are_those_of_whole_rows():
    rng = np.random.default_rng(0)
    for d, values in ((1, 30), (3, 4), (2, 100)):
        table = rng.integers(values, size=(3000, d)) - 1.0
        table[table == 0] *= rng.choice([-1, 1], size=(table == 0).sum())  # -0.0 is 0.0
        expected = np.unique(table + 0.0, axis=0, return_inverse=True)[1].ravel()
        found = memory.row_ids(table[:, :1], table[:, 1:])
        pairs = set(zip(expected.tolist(), found.tolist(), strict=True))
        assert len(pairs) == len(set(expected.tolist())) == found.max() + 1


def test_few_knots_change_no_normal_score(monkeypatch):
    values = np.random.default_rng(0).normal(size=(60_000, 1)) ** 3
    values[:9_000] = 0.0  # a pile keeps its place
    few = data.Transform.fit(values)
    monkeypatch.setattr("infobound.data.transforms.KNOTS", 10**9)
    every = data.Transform.fit(values)
    assert len(few.knots[0]) <= 10_000 < len(every.knots[0])
    apart = np.abs(few.normal_scores(values) - every.normal_scores(values))
    assert apart.max() < 0.002
    assert apart[:9_000].max() == 0


def capped(monkeypatch, mi, count=30):
    """Estimates of 3,000 rows of this MI, each fold of which is fitted to 400 only."""
    monkeypatch.setattr(selection, "FITTED", 400)
    monkeypatch.setattr(crossfit, "TRAINED", 100)
    samples = [rows(3000, 4, seed=seed, mi=mi) for seed in range(count)]
    return [estimate(v[:, :4], v[:, 4:], seed=k, **CAPPED) for k, v in enumerate(samples)]


def test_folds_of_some_rows_are_unbiased_and_no_noisier_than_all(monkeypatch):
    found = capped(monkeypatch, 0.5)
    errors = np.array([one.mi for one in found]) - 0.5
    error = errors.std(ddof=1) / np.sqrt(len(errors))
    assert abs(errors.mean()) < 3 * error
    assert np.mean([one.held_out for one in found]) < 0.5 - 6 * error  # corrected with reason
    # The spread of 3,000 rows of the true log ratio, whose variance here is 4 (1 - exp(-1/4)), and
    # a quarter besides; training values of other rows than the held-out ones would add half.
    assert errors.std(ddof=1) < 1.25 * np.sqrt(4 * (1 - np.exp(-0.25)) / 3000)


def test_intervals_of_folds_of_some_rows_hold_of_independent_ones(monkeypatch):
    found = capped(monkeypatch, 0.0, count=16)
    assert sum(one.interval[0] <= 0 <= one.interval[1] for one in found) >= 13


def test_no_step_holds_all_rows_in_memory(tmp_path, monkeypatch, no_memory):
    for module, name, limit in (
        (selection, "FITTED", 500),
        (selection, "VALUES", 100_000),
        (crossfit, "TRAINED", 500),
        (pairs, "LOOKED", 50_000),
        (memory, "PIECE", 50_000),
    ):
        monkeypatch.setattr(module, name, limit)
    n, d = 20_000, 50
    values = rows(n, d, mi=2.0)
    np.save(tmp_path / "t.npy", values.astype(np.float32))
    settings = Config(eval_rows=100, **CAPPED)
    estimate(values[:60, :1], values[:60, 1], config=settings)  # what is imported stays in memory
    runs = iter("abc")
    for _ in peaks.under(8 * n * 2 * d / 2):  # half of the rows, float64: one copy of a side
        pair = readers.read(tmp_path / "t.npy", x=["0:49"], y=["50:99"])
        run = Run.create(tmp_path / next(runs), record={}, rows={"x": pair.x, "y": pair.y})
        run.load_rows("rows")
        result = estimate(pair, config=settings)
    assert result.n == n
    assert pair.x.dtype == np.float32
    assert mapped(pair.x)
