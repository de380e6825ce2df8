"""The run directory: whole or not at all, and nothing that is read can run."""

import hashlib
import itertools
import math
import os
import pickle

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save

from infobound._system import files
from infobound._system.files import write_atomic
from infobound.errors import FaultWarning, InputError
from infobound.training.run_directory import Run


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", record={"kind": "test", "config": {"lr": 0.1}})


TENSORS = {
    "weights": torch.randn(3, 2, generator=torch.Generator().manual_seed(0)),
    "double": torch.tensor(math.pi, dtype=torch.float64),
    "step": torch.tensor(7, dtype=torch.int64),
    "state": torch.arange(5, dtype=torch.uint8),
    "flag": torch.tensor([True, False]),
    "empty": torch.zeros(0, 4),
}
META = {"b": 0.1, "a": [1, None], "best": -math.inf, "loss": math.nan}


def test_a_checkpoint_round_trips_to_the_bit(run):
    assert run.load_checkpoint("fit") is None
    run.save_checkpoint("fit", TENSORS, META)
    tensors, meta = run.load_checkpoint("fit")
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert list(meta) == list(META)
    assert repr(meta) == repr(META)


def test_a_checkpoint_truncated_anywhere_is_an_error(run):
    run.save_checkpoint("fit", TENSORS, META)
    file = run.path / "checkpoint-fit.safetensors"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="truncated"):
            run.load_checkpoint("fit")


def test_only_what_can_be_computed_again_may_be_deleted(run):
    run.save_rows("rows", {"x": np.ones((2, 1))})
    for name, read, remedy in (
        ("checkpoint-fit.safetensors", lambda: run.load_checkpoint("fit"), "delete it"),
        ("rows.safetensors", lambda: run.load_rows("rows"), "in another directory"),
        ("run.json", lambda: Run.open(run.path), "in another directory"),
    ):
        (run.path / name).write_bytes(b"?")
        with pytest.raises(InputError, match=remedy) as caught:
            read()
        assert ("delete" in str(caught.value)) == name.startswith("checkpoint")


def test_a_changed_byte_is_an_error(run):
    run.save_checkpoint("fit", TENSORS, META)
    file = run.path / "checkpoint-fit.safetensors"
    whole = file.read_bytes()
    unnoticed = []
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            tensors, meta = run.load_checkpoint("fit")
        except InputError:
            continue
        same = all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
        if not same or repr(meta) != repr(META):
            unnoticed.append(at)
    assert not unnoticed


def test_foreign_files_are_errors_and_run_nothing(run, tmp_path):
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(trap),)

    file = run.path / "checkpoint-fit.safetensors"
    torch.save({"a": torch.zeros(1)}, file)
    for data in (
        pickle.dumps(Trap()),
        file.read_bytes(),
        b"hello",
        b"",
        save({"a": torch.ones(1)}),
    ):
        file.write_bytes(data)
        with pytest.raises(InputError, match="whole checkpoint-fit"):
            run.load_checkpoint("fit")
    assert not trap.exists()


def test_rows_round_trip_and_damage_is_found(run):
    arrays = {"x": np.random.default_rng(0).normal(size=(5, 2)), "y": np.arange(5.0)[:, None]}
    run.save_rows("rows", arrays)
    loaded = run.load_rows("rows")
    assert all(np.array_equal(loaded[k], v) for k, v in arrays.items())
    file = run.path / "rows.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match="truncated, damaged"):
        run.load_rows("rows")


def test_rows_are_written_as_safetensors_itself_would(run):
    arrays = {"a": np.ones((3, 1), np.float32), "b": np.arange(6.0).reshape(3, 2)}
    digest = hashlib.sha256(safetensors.numpy.save(arrays)).hexdigest()
    run.save_rows("rows", arrays)
    whole = safetensors.numpy.save(arrays, metadata={"digest": digest})
    assert (run.path / "rows.safetensors").read_bytes() == whole


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, broken):
    write_atomic(tmp_path / "a", b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, broken.split(".")[1], fail)
    with pytest.raises(InputError, match="No space left"):
        write_atomic(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_unwritable_places_are_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Run.create(tmp_path / "file" / "run", record={})
    with pytest.raises(InputError, match="cannot be written"):
        write_atomic(tmp_path / "absent" / "a", b"")


def test_overwriting_removes_our_files_and_no_others(run):
    run.write_json("result.json", {})
    run.save_checkpoint("fit", TENSORS, META)
    (run.path / "notes.txt").write_text("mine")
    (run.path / "holiday.png").write_text("mine")
    with pytest.raises(InputError, match=r"infobound resume .*--overwrite"):
        Run.create(run.path, record={})
    again = Run.create(run.path, record={"kind": "new"}, overwrite=True)
    assert sorted(p.name for p in run.path.iterdir()) == ["holiday.png", "notes.txt", "run.json"]
    assert not again.is_complete
    assert Run.open(run.path).record["kind"] == "new"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "curve.png").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        Run.create(tmp_path / "pictures", record={})
    for overwrite in (False, True):
        with pytest.raises(InputError, match="holds other files"):
            Run.create(tmp_path, record={}, overwrite=overwrite)
    (tmp_path / "run.json").write_text('{"format": "theirs"}')
    with pytest.raises(InputError, match="something else"):
        Run.create(tmp_path, record={}, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_a_run_exists_only_once_it_is_whole(tmp_path, monkeypatch):
    rows = {"x": np.ones((2, 1))}
    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Run.create(tmp_path / "run", record={}, rows=rows)
    with pytest.raises(InputError, match=r"no run\.json"):
        Run.open(tmp_path / "run")
    assert Run.create(tmp_path / "run", record={}, rows=rows).load_rows("rows")["x"].shape == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no run.json"),
        ('{"format": "infobound-run", "ver', "truncated"),
        ('{"format": "other"}', "something else"),
        ("[1]", "something else"),
        ('{"format": "infobound-run", "version": 99}', "Update infobound"),
        ('{"format": "infobound-run", "version": "new"}', "Update infobound"),
    ],
)
def test_opening_what_is_no_run(tmp_path, text, message):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Run.open(tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        Run.open(tmp_path / "absent")


def test_metrics_are_exact(run):
    rows = [{"iteration": 0.0, "train": 0.1, "validation": math.nan}]
    rows += [{"iteration": 50.0, "train": 1 / 3, "validation": -5.7}]
    run.write_metrics(rows)
    assert (run.path / "metrics.csv").read_text() == (
        "iteration,train,validation\n0,0.1,\n50,0.3333333333333333,-5.7\n"
    )


def read_scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return found, [(event.step, event.value) for event in found.Scalars("mi_list")]


def test_tensorboard_scalars_graph_and_purge(run):
    events = run.tensorboard("fit", purge_step=0)
    for step in range(5):
        events.scalars(step, mi_list=float(step))
    events.graph(torch.nn.Linear(2, 1), (torch.zeros(1, 2),))
    events.close()
    events = run.tensorboard("fit", purge_step=3)
    events.scalars(3, mi_list=30.0)
    events.close()
    found, scalars = read_scalars(run.path / "tensorboard" / "fit")
    assert scalars == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]
    assert found.Graph()


def test_tensorboard_reads_the_files_of_one_second_in_order(run, monkeypatch):
    from tensorboard.summary.writer import event_file_writer

    numbers = itertools.count(8)  # what ends a file's name: "10" sorts before "9"
    monkeypatch.setattr(event_file_writer._global_uid, "get", lambda: next(numbers))
    for step in range(3):
        events = run.tensorboard("fit", purge_step=step)
        events.scalars(step, mi_list=float(step))
        events.close()
    _, scalars = read_scalars(run.path / "tensorboard" / "fit")
    assert scalars == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_critic_that_cannot_be_traced_is_said_once_a_run(run, capsys, recwarn):
    for name in ("fold-1", "fold-2"):
        events = run.tensorboard(name, purge_step=0)
        events.graph(torch.nn.Linear(2, 1), (torch.zeros(1, 3),))
        events.scalars(1, loss=0.5)
        events.close()
    (said,) = recwarn
    assert said.category is FaultWarning
    assert "no graph of the critic: PyTorch cannot trace it (mat1" in str(said.message)
    assert capsys.readouterr() == ("", "")
