"""One result of each kind, whose columns have names that a browser must not run."""

import tempfile
from collections.abc import Mapping

import numpy as np
import pandas as pd

import infobound
from infobound import Config
from infobound.benchmark.study import study as run_study
from infobound.data.columns import columns
from infobound.tables.features import select

NAMES = "<script>alert(1)</script>", "a & b"


def table(n=300):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return {NAMES[0]: x, NAMES[1]: 0.8 * x + 0.6 * noise, "c": noise}


def estimate():
    frame = pd.DataFrame(table())
    return infobound.estimate(frame[[NAMES[0]]], frame[[NAMES[1]]], critic="none", permutations=99)


def rehearsal():
    x, y, _ = table().values()
    fast = {"critic": "none", "certify": False, "base": "gaussian"}
    return infobound.rehearse(x, y, ladder=[0.0, 0.5], seeds=2, jobs=1, kinds=["monotone"], **fast)


def probes():
    labels = np.random.default_rng(0).integers(3, size=200)
    rows = {NAMES[0]: labels + np.random.default_rng(1).normal(size=200), "b": labels % 2 * 1.5}
    rows["b"] += np.random.default_rng(2).normal(size=200)
    fast = {"critic": "none", "base": "linear_probe", "folds": 2, "certify": False}
    return infobound.probe(pd.DataFrame(rows), labels, **fast)


def guarantee():
    x, y, _ = table().values()
    half = len(x) // 2
    seen = x[:half], y[:half]
    return infobound.certify(lambda x, y: -((x - y.T) ** 2), x[half:], y[half:], seen=seen)


def selection():
    x, y, c = (columns({"a": values})[0] for values in table().values())
    return select([x, c], y)


def study(folder=None):
    with tempfile.TemporaryDirectory() as folder:
        x, noise = np.random.default_rng(0).normal(size=(2, 300))
        np.savez(f"{folder}/{'pair'}.npz", x=x, y=x + noise, mi=0.5 * np.log(2))
        settings = {"sizes": [200], "seeds": 1, "jobs": 1, "estimators": ["only_gaussian"]}
        return run_study(NAMES[0], files=folder, out=f"{folder}/out", **settings)


def reproduction():
    return infobound.reproduce(Config.notebook().with_(n_iters=10, eval_every=5), sample_size=50)


QUICK = {"base": "gaussian", "permutations": 99}


def series():
    return [
        pd.Series(values, name=name) for name, values in zip(NAMES, table().values(), strict=False)
    ]


def network():
    two = dict(list(table(150).items())[:2])
    return infobound.transfer_network(two, jobs=1, permutations=99)


GAUSSIAN = {"estimator": "gaussian", "certify": False}
MADE = {
    "estimate": estimate,
    "compare": lambda: infobound.compare(
        *(pd.DataFrame({name: values}) for name, values in table().items()), **GAUSSIAN
    ),
    "interaction": lambda: infobound.interaction(
        *(pd.DataFrame({name: values}) for name, values in table().items()), **GAUSSIAN
    ),
    "rehearsal": rehearsal,
    "probes": probes,
    "certificate": guarantee,
    "selection": selection,
    "study": study,
    "reproduction": reproduction,
    "lags": lambda: infobound.lags(*series(), max_lag=3, refine=False),
    "lagged_pairs": lambda: infobound.lagged_pairs(table(), max_lag=3),
    "transfer": lambda: infobound.transfer_entropy(*series(), **QUICK),
    "transfer_network": network,
    "storage": lambda: infobound.storage(table()["c"], **QUICK),
    "pairwise": lambda: infobound.pairwise(table()),
    "pairwise_target": lambda: infobound.pairwise(table(), "c"),
}


class Made(Mapping):
    """Results by name, each of which is made when it is first asked for."""

    def __init__(self):
        self.made = {}

    def __getitem__(self, name):
        if name not in self.made:
            self.made[name] = MADE[name]()
        return self.made[name]

    def __iter__(self):
        return iter(MADE)

    def __len__(self):
        return len(MADE)
