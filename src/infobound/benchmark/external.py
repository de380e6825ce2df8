"""Estimators of other packages, run on the same samples: the table `PEERS`.

Estimators with their own environment run there in a process; rows are passed as npz, and the value
is returned as JSON. A new estimator is a function and an entry in `PEERS`. This module does not
depend on studies.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from infobound._system import files
from infobound.errors import InputError
from infobound.studies.grid import EstimatorError, Unsuitable

__all__ = ["PEERS", "External", "Peer", "PeerPaths", "estimate"]

TIME_LIMIT = 3600  # time limit of one estimate in another process, in seconds
# `y` with at most this many distinct values, all whole numbers, is treated as a class
MOST_CLASSES = 20


@dataclass(frozen=True)
class PeerPaths:
    """The locations of estimators that cannot be installed in this environment.

    Attributes:
        bmi_python: the Python of an environment with benchmark-mi.
        neuralmi: a checkout of NeuralMI.
        torch_mist_python: the Python of an environment with torch-mist.
        tigramite_python: the Python of an environment with tigramite.
    """

    bmi_python: Path | None = None
    neuralmi: Path | None = None
    torch_mist_python: Path | None = None
    tigramite_python: Path | None = None


Pairs = Callable[[np.ndarray, np.ndarray, int, PeerPaths], tuple[float, float]]
Triples = Callable[[np.ndarray, np.ndarray, np.ndarray, int, PeerPaths], tuple[float, float]]


@dataclass(frozen=True)
class Peer:
    """An estimator of another package.

    Attributes:
        version: maps the locations to the version that would run, or raises.
        estimate: maps x (n, p), y (n, q), seed and locations to the MI in nats and the seconds.
        note: a description.
        conditional: the same for I(X;Y|Z), with z (n, r) after y; None if it takes no third
            variable.
    """

    version: Callable[[PeerPaths], str]
    estimate: Pairs
    note: str
    conditional: Triples | None = None


@dataclass(frozen=True)
class _Version:
    name: str
    where: PeerPaths

    def __call__(self) -> Mapping[str, str]:
        return {f"peer {self.name}": PEERS[self.name].version(self.where)}


@dataclass(frozen=True)
class External:
    """An external estimator as an estimator of a study (`grid.Estimator`).

    Attributes:
        name: a key of `PEERS`.
        where: the locations of external estimators.
        version: the version that runs.
    """

    name: str
    where: PeerPaths
    version: str

    def settings(self) -> Mapping[str, Any]:
        """Return the version."""
        return {"peer": self.version}

    def requirement(self) -> Callable[[], Mapping[str, str]]:
        """Return a function that names the version."""
        return _Version(self.name, self.where)

    def columns(
        self,
        name: str,
        x: np.ndarray,
        y: np.ndarray,
        seed: int,
        categorical: Sequence[str],
        given: np.ndarray | None,
    ) -> Mapping[str, Any]:
        """Estimate from x (n, p), y (n, q) and z (n, r); return the MI in nats and the seconds.

        External estimators see the codes of categories as numbers.
        """
        mi, seconds = estimate(self.name, x, y, given=given, seed=seed, where=self.where)
        return {"mi": mi, "seconds": seconds}


def estimate(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    *,
    given: np.ndarray | None = None,
    seed: int,
    where: PeerPaths,
) -> tuple[float, float]:
    """Estimate the MI, or the conditional MI, with an estimator of another package.

    Args:
        name: a key of `PEERS`.
        x: (n, p).
        y: (n, q).
        given: z (n, r), for an estimate of I(X;Y|Z).
        seed: the seed of the estimator.
        where: the locations of external estimators.

    Returns:
        The MI in nats, and the time in seconds.

    Raises:
        Unsuitable: If the estimator does not support rows of this shape, or a third variable.
        EstimatorError: If it failed in another process.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 100, 2))
        >>> estimate("sklearn", x, y, seed=0, where=PeerPaths())
        Traceback (most recent call last):
        ...
        infobound.studies.grid.Unsuitable: one column each is what it takes; x has 2 and y has 2
    """
    peer = PEERS[name]
    if given is None:
        return peer.estimate(x, y, seed, where)
    if peer.conditional is None:
        raise Unsuitable("it takes no third variable")
    return peer.conditional(x, y, given, seed, where)


def _flat(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as vectors (n,), for estimators of single columns."""
    if x.shape[1] != 1 or y.shape[1] != 1:
        raise Unsuitable(
            f"one column each is what it takes; x has {x.shape[1]} and y has {y.shape[1]}"
        )
    return x[:, 0], y[:, 0]


def _sklearn(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
    """KSG, or Ross's estimator if y is a class; it supports single columns only."""
    from sklearn import feature_selection

    _flat(x, y)
    values = y[:, 0]
    classes = (values == np.round(values)).all() and len(np.unique(values)) <= MOST_CLASSES
    kind = "classif" if classes else "regression"
    start = time.perf_counter()
    value = getattr(feature_selection, f"mutual_info_{kind}")(x, values, random_state=seed)
    return float(value[0]), time.perf_counter() - start


def _ennemi(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
    """KSG; it is deterministic."""
    return _ennemi_given(x, y, None, seed, where)


def _ennemi_given(
    x: np.ndarray, y: np.ndarray, given: np.ndarray | None, seed: int, where: PeerPaths
) -> tuple[float, float]:
    """KSG, or Frenzel and Pompe's estimator given all columns of z; both are deterministic."""
    import ennemi

    one, other = (side.astype(float) for side in _flat(x, y))
    start = time.perf_counter()
    value = ennemi.estimate_mi(other, one, cond=given, max_threads=1)
    return float(np.asarray(value).ravel()[0]), time.perf_counter() - start


# Each reads rows.npz and writes value.json in its working directory; imports are not timed.
BMI = """
import json, sys, time
import numpy as np
import bmi
kind, rows = sys.argv[1], np.load("rows.npz")
estimator = {
    "ksg": lambda: bmi.estimators.KSGEnsembleFirstEstimator(neighborhoods=(10,)),
    "infonce": lambda: bmi.estimators.InfoNCEEstimator(seed=int(sys.argv[2]), verbose=False),
    "cca": lambda: bmi.estimators.CCAMutualInformationEstimator(),
}[kind]()
start = time.perf_counter()
value = float(estimator.estimate(rows["x"], rows["y"]))
with open("value.json", "w") as file:
    json.dump({"mi": value, "seconds": time.perf_counter() - start}, file)
"""
BMI_VERSION = """
import importlib.metadata, json
import bmi
found = [f"{name} {importlib.metadata.version(name)}" for name in ("benchmark-mi", "jax")]
with open("value.json", "w") as file:
    json.dump({"version": ", ".join(found)}, file)
"""
NEURALMI = """
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
import neural_mi
from neural_mi import Output, Split
rows = np.load("rows.npz")
start = time.perf_counter()
result = neural_mi.run(rows["x"], rows["y"], mode="estimate", split=Split(mode="random"),
                       output=Output(units="nats"), seed=int(sys.argv[2]))
with open("value.json", "w") as file:
    seconds = time.perf_counter() - start
    json.dump({"mi": float(result.mi_estimate), "seconds": seconds}, file)
"""
NEURALMI_VERSION = """
import json, sys
sys.path.insert(0, sys.argv[1])
import neural_mi
from neural_mi import Output, Split
with open("value.json", "w") as file:
    json.dump({"version": f"NeuralMI {neural_mi.__version__}"}, file)
"""
TORCH_MIST = """
import json, random, sys, time
import numpy as np
import torch
from torch_mist import estimate_mi
kind, seed, rows = sys.argv[1], int(sys.argv[2]), np.load("rows.npz")
for module in (random, np.random):
    module.seed(seed)
torch.manual_seed(seed)
start = time.perf_counter()
value = estimate_mi((rows["x"], rows["y"]), estimator=kind, hidden_dims=[128], verbose=False,
                    logger=False)
with open("value.json", "w") as file:
    json.dump({"mi": float(value), "seconds": time.perf_counter() - start}, file)
"""
TORCH_MIST_VERSION = """
import importlib.metadata, json
import torch_mist
found = [f"{name} {importlib.metadata.version(name)}" for name in ("torch-mist", "torch")]
with open("value.json", "w") as file:
    json.dump({"version": ", ".join(found)}, file)
"""
TIGRAMITE = """
import json, sys, time
import numpy as np
from tigramite.independence_tests.cmiknn import CMIknn
rows = np.load("rows.npz")
sides = [rows[name] for name in ("x", "y", "given") if name in rows.files]
labels = np.repeat(np.arange(len(sides)), [side.shape[1] for side in sides])
array = np.hstack(sides).astype(float).T
test = CMIknn(knn=5, workers=1, seed=int(sys.argv[1]))
test.get_dependence_measure(array[:, :20], labels)  # the first call compiles
test = CMIknn(knn=5, workers=1, seed=int(sys.argv[1]))
start = time.perf_counter()
value = float(test.get_dependence_measure(array, labels))
with open("value.json", "w") as file:
    json.dump({"mi": value, "seconds": time.perf_counter() - start}, file)
"""
TIGRAMITE_VERSION = """
import importlib.metadata, json
from tigramite.independence_tests.cmiknn import CMIknn
with open("value.json", "w") as file:
    json.dump({"version": f"tigramite {importlib.metadata.version('tigramite')}"}, file)
"""


ENDS = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
"""  # standard input closes when the parent process ends, for whatever reason


def _elsewhere(
    python: str | Path, script: str, *words: str, rows: dict[str, np.ndarray] | None = None
) -> dict:
    """Run a script in another process on one thread, and return what it wrote to value.json."""
    single = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(single, "1"), "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = (
        "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # use one core
    )
    with tempfile.TemporaryDirectory() as folder:
        if rows is not None:
            np.savez(Path(folder) / "rows.npz", **rows)  # type: ignore[arg-type]
        reading, writing = os.pipe()
        try:
            done = subprocess.run(
                [str(python), "-I", "-c", ENDS + script, *words],  # -I isolates the environment
                stdin=reading,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT,
            )
        except subprocess.TimeoutExpired as error:
            raise EstimatorError(f"no answer after {TIME_LIMIT:,} s") from error
        finally:
            os.close(reading)
            os.close(writing)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise EstimatorError(lines[-1])
        return files.read_json(Path(folder) / "value.json")


def _bmi(kind: str) -> Pairs:
    """Return one of benchmark-mi's estimators, with its defaults."""

    def run(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
        found = _elsewhere(_python(where), BMI, kind, str(seed), rows={"x": x, "y": y})
        return found["mi"], found["seconds"]

    return run


def _neuralmi(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
    """NeuralMI in mode `estimate` with a random split, and its defaults otherwise."""
    rows = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
    words = str(_checkout(where)), str(seed)
    found = _elsewhere(sys.executable, NEURALMI, *words, rows=rows)
    return found["mi"], found["seconds"]


def _torch_mist(kind: str) -> Pairs:
    """Return one of torch-mist's estimators, with the hidden layer of its manual.

    Everything else has its default.

    Source: https://github.com/mfederici/torch-mist.
    """

    def run(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
        rows = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
        found = _elsewhere(_torch_mist_python(where), TORCH_MIST, kind, str(seed), rows=rows)
        return found["mi"], found["seconds"]

    return run


def _tigramite(x: np.ndarray, y: np.ndarray, seed: int, where: PeerPaths) -> tuple[float, float]:
    return _tigramite_on({"x": x, "y": y}, seed, where)


def _tigramite_given(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, seed: int, where: PeerPaths
) -> tuple[float, float]:
    return _tigramite_on({"x": x, "y": y, "given": given}, seed, where)


def _tigramite_on(rows: dict[str, np.ndarray], seed: int, where: PeerPaths) -> tuple[float, float]:
    """CMIknn on ranks, with five neighbours.

    Its default, a fifth of the rows, is meant for tests, and as an estimate far too low.

    Source: https://github.com/jakobrunge/tigramite; Runge 2018,
    https://proceedings.mlr.press/v84/runge18a.html.
    """
    found = _elsewhere(_tigramite_python(where), TIGRAMITE, str(seed), rows=rows)
    return found["mi"], found["seconds"]


def _tigramite_python(where: PeerPaths) -> Path:
    if where.tigramite_python is None:
        raise InputError(
            "Expected --tigramite-python PATH, the Python of an environment with tigramite, for "
            f"the peer tigramite-cmiknn; got none. {TIGRAMITE_REMEDY}"
        )
    return where.tigramite_python.absolute()


def _torch_mist_python(where: PeerPaths) -> Path:
    if where.torch_mist_python is None:
        raise InputError(
            "Expected --torch-mist-python PATH, the Python of an environment with torch-mist, for "
            f"the peers torch-mist-*; got none. {TORCH_MIST_REMEDY}"
        )
    return where.torch_mist_python.absolute()


def _python(where: PeerPaths) -> Path:
    if where.bmi_python is None:
        raise InputError(
            "Expected --bmi-python PATH, the Python of an environment with benchmark-mi, for the "
            f"peers bmi-*; got none. {BMI_REMEDY}"
        )
    return where.bmi_python.absolute()  # not resolved: the link is what makes it a venv's Python


def _checkout(where: PeerPaths) -> Path:
    if where.neuralmi is None or not (where.neuralmi / "neural_mi" / "__init__.py").is_file():
        raise InputError(
            f"Expected --neuralmi PATH, a checkout of NeuralMI; got {where.neuralmi}. "
            f"{NEURALMI_REMEDY}"
        )
    return where.neuralmi.absolute()


BMI_REMEDY = (
    "Make one: python -m venv bmi-env && bmi-env/bin/python -m pip install benchmark-mi "
    "'jax==0.4.30' 'jaxlib==0.4.30', then --bmi-python bmi-env/bin/python."
)
TORCH_MIST_REMEDY = (
    "Make one: python -m venv mist-env && mist-env/bin/python -m pip install torch-mist pandas, "
    "then --torch-mist-python mist-env/bin/python."
)
TIGRAMITE_REMEDY = (
    "Make one: python -m venv tigramite-env && tigramite-env/bin/python -m pip install tigramite "
    "numba, then --tigramite-python tigramite-env/bin/python."
)
NEURALMI_REMEDY = (
    "git clone https://github.com/eslam-abdelaleem/NeuralMI, then --neuralmi NeuralMI; a version "
    "whose neural_mi has Split and Output."
)


def _installed(package: str, module: str) -> Callable[[PeerPaths], str]:
    """Return a function for the version of a package in this environment."""

    def version(where: PeerPaths) -> str:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"Expected {package} for this peer; it is not installed. Run: python -m pip "
                f"install {package}"
            )
        return f"{package} {importlib.metadata.version(package)}"

    return version


@lru_cache
def _bmi_version(where: PeerPaths) -> str:
    python = _python(where)
    what = f"{python} to be a Python with benchmark-mi; importing bmi there failed"
    return _version_elsewhere(what, BMI_REMEDY, python, BMI_VERSION)


@lru_cache
def _torch_mist_version(where: PeerPaths) -> str:
    python = _torch_mist_python(where)
    what = f"{python} to be a Python with torch-mist; importing it there failed"
    return _version_elsewhere(what, TORCH_MIST_REMEDY, python, TORCH_MIST_VERSION)


@lru_cache
def _tigramite_version(where: PeerPaths) -> str:
    python = _tigramite_python(where)
    what = f"{python} to be a Python with tigramite; importing CMIknn there failed"
    return _version_elsewhere(what, TIGRAMITE_REMEDY, python, TIGRAMITE_VERSION)


def _neuralmi_version(where: PeerPaths) -> str:
    checkout = _checkout(where)
    what = f"{checkout} to hold NeuralMI; importing it failed"
    words = (sys.executable, NEURALMI_VERSION, str(checkout))
    return _version_elsewhere(what, NEURALMI_REMEDY, *words)


def _version_elsewhere(what: str, remedy: str, python: str | Path, script: str, *words: str) -> str:
    """Return the version that the script reports when run by that Python."""
    try:
        version: str = _elsewhere(python, script, *words)["version"]
    except (OSError, EstimatorError) as error:
        raise InputError(f"Expected {what}: {error}. {remedy}") from error
    return version


PEERS: dict[str, Peer] = {
    "sklearn": Peer(
        _installed("scikit-learn", "sklearn"), _sklearn, "mutual_info_regression, 3 neighbours"
    ),
    "ennemi": Peer(
        _installed("ennemi", "ennemi"), _ennemi, "estimate_mi, 3 neighbours", _ennemi_given
    ),
    "bmi-ksg": Peer(_bmi_version, _bmi("ksg"), "benchmark-mi's KSG, 10 neighbours"),
    "bmi-infonce": Peer(_bmi_version, _bmi("infonce"), "benchmark-mi's InfoNCE"),
    "bmi-cca": Peer(_bmi_version, _bmi("cca"), "benchmark-mi's canonical correlations"),
    "neuralmi": Peer(_neuralmi_version, _neuralmi, "NeuralMI, mode estimate, random split"),
    "torch-mist-infonce": Peer(_torch_mist_version, _torch_mist("infonce"), "torch-mist's InfoNCE"),
    "torch-mist-smile": Peer(_torch_mist_version, _torch_mist("smile"), "torch-mist's default"),
    "tigramite-cmiknn": Peer(
        _tigramite_version, _tigramite, "CMIknn on ranks, 5 neighbours", _tigramite_given
    ),
}
