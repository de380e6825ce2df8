"""One fold of the cross-fitting: fit on its training rows, choose there, report on its test rows.

The way: `data` (transform) -> `copulas` (base) -> `train` (network on the base) -> `bounds`. What
the folds say together is in `estimates`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from infobound import critics, data, train
from infobound.bounds import BOUNDS, Bound, lookup
from infobound.config import Config
from infobound.copulas import GaussianCopula
from infobound.errors import InputError
from infobound.runs import Run

__all__ = ["Fold", "Scored", "bind", "fit_fold"]

RELIABLE = 0.1  # relative standard error up to which an average of e^f is taken at its word


def bind(config: Config) -> Bound:
    """The bound that the configuration names, with the settings that it reads."""
    bound = lookup(config.bound)
    known = config.as_dict()
    return bound.bind(**{name: known[name] for name in bound.settings if name in known})


@dataclass(frozen=True)
class Scored:
    """Per-row contributions (n,): to the bound, to Donsker-Varadhan, and the positives' scores."""

    terms: np.ndarray
    dv: np.ndarray
    positives: np.ndarray

    def normaliser(self) -> tuple[float, float]:
        """log mean e^f over the negatives, and its standard error."""
        terms = self.positives - self.dv
        return float(terms.mean()), float(terms.std() / math.sqrt(len(terms)))


@dataclass(frozen=True)
class Fold:
    """One fold's outcome; `rows` are its test rows."""

    rows: np.ndarray
    fit: train.Fit | None
    kept: bool
    test: Scored
    training: Scored
    mode: str  # which contributions make the point estimate: positives, dv or terms

    def point(self) -> float:
        """The mean of the training and the held-out value: their errors cancel to first order."""
        return (
            float(getattr(self.test, self.mode).mean() + getattr(self.training, self.mode).mean())
            / 2
        )


def fit_fold(
    k: int,
    training: np.ndarray,
    test: np.ndarray,
    pair: data.Pair,
    config: Config,
    bound: Bound,
    module: nn.Module | None,
    run: Run | None,
    watch: Callable[[train.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Fold:
    """Train on `training`, choose on a part of it, report on `test`."""
    seeds = [int(s) for s in np.random.SeedSequence([config.seed, k]).generate_state(3)]
    fit_rows, validation_rows = data.hold_out(training, config.validation, seed=seeds[0])
    inputs = _Inputs.make(pair, training, config, module)
    network = _network(inputs, config, module, seeds[1])
    critic, fitted = None, None
    if network is not None:
        start = inputs.critic(fit_rows, network, config)
        validation = inputs.rows(validation_rows)
        fitted = train.fit(
            start,
            bound,
            inputs.rows(fit_rows),
            validation,
            config,
            seed=seeds[2],
            name=f"fold-{k + 1}",
            run=run,
            watch=watch,
            stop=stop,
        )
        if start.base is None or _gains(start, bound, validation, config):
            critic, training = start, fit_rows
    kept = critic is not None
    if critic is None:  # the base alone needs no validation rows: it is fitted to those as well
        critic = inputs.critic(training, None, config)
    shuffle = np.random.default_rng(seeds[0]).permutation  # blocks must not follow the row order
    scored = _score(critic, bound, inputs.rows(shuffle(test)), config.eval_rows)
    size = min(len(test), len(training), config.eval_rows)  # --folds 2 tests more than it fits
    full = shuffle(training)[: len(training) // size * size]  # blocks of one size, one ceiling
    on_training = _score(critic, bound, inputs.rows(full), size)
    mode = _mode(kept, scored, on_training)
    return Fold(test, fitted, kept, scored, on_training, mode)


def _mode(kept: bool, test: Scored, training: Scored) -> str:
    """Which contributions make the point estimate; see "How the estimate is made" in the docs.

    The bound itself has a ceiling; Donsker-Varadhan has none, but needs the mean of e^f over the
    negatives; a base alone is normalised in closed form, unless the data say otherwise.
    """
    log_z, doubt = test.normaliser()
    if not kept and (doubt > RELIABLE or abs(log_z) < 2 * doubt):
        return "positives"
    higher = training.dv.mean() > training.terms.mean()
    return "dv" if higher and doubt <= RELIABLE else "terms"


@dataclass(frozen=True)
class _Inputs:
    """All rows as the critics see them: the base's normal scores first, then the network's."""

    x: Tensor
    y: Tensor
    columns: tuple[int, int]

    @classmethod
    def make(
        cls, pair: data.Pair, training: np.ndarray, config: Config, module: nn.Module | None
    ) -> _Inputs:
        """Transforms are fitted on the fold's training rows alone."""
        kind, base = config.transform, config.base
        kind = ("both" if module is None else "raw") if kind == "auto" else kind
        base = ("gaussian" if module is None else "none") if base == "auto" else base
        sides, columns = [], []
        for values in (pair.x, pair.y):
            transform = data.Transform.fit(values[training])
            scores = transform.normal_scores(values)
            network = {"scores": [scores], "raw": [values], "robust": [transform.robust(values)]}
            network["both"] = network["scores"] + network["robust"]
            parts = ([] if base == "none" else [scores]) + network[kind]
            columns.append(0 if base == "none" else scores.shape[1])
            side = torch.from_numpy(np.concatenate(parts, axis=1)).float()
            sides.append(side.to(train.device(config)))
        return cls(sides[0], sides[1], (columns[0], columns[1]))

    def rows(self, index: np.ndarray) -> train.Rows:
        """The rows with these numbers."""
        at = torch.from_numpy(index).to(self.x.device)
        return self.x[at], self.y[at]

    def critic(
        self, index: np.ndarray, network: nn.Module | None, config: Config
    ) -> critics.Composite:
        """A base fitted to these rows, and the network on top."""
        base = None
        if any(self.columns):
            x, y = self.rows(index)
            base = GaussianCopula.fit(x[:, : self.columns[0]], y[:, : self.columns[1]])
        if base is None and network is None:
            raise InputError("Expected a critic or a base; got --critic none with --base none.")
        critic = critics.Composite(base, network, columns=self.columns, gamma=config.gamma)
        return critic.to(self.x.device)


def _network(
    inputs: _Inputs, config: Config, module: nn.Module | None, seed: int
) -> nn.Module | None:
    """A fresh network for one fold: a copy of the user's, or the one that is configured."""
    if module is not None:
        return copy.deepcopy(module)
    dims = (inputs.x.shape[1] - inputs.columns[0], inputs.y.shape[1] - inputs.columns[1])
    return critics.build(*dims, config, torch.Generator().manual_seed(seed))


def _gains(critic: critics.Composite, bound: Bound, rows: train.Rows, config: Config) -> bool:
    """Whether the network gains more than a standard error over its base on validation rows."""
    plain = critics.Composite(critic.base, None, columns=critic.columns, gamma=critic.gamma)
    ours = _score(critic, bound, rows, config.eval_rows).terms
    gain = ours - _score(plain, bound, rows, config.eval_rows).terms
    return bool(gain.mean() > gain.std() / math.sqrt(len(gain)))


def _score(critic: nn.Module, bound: Bound, rows: train.Rows, size: int) -> Scored:
    """Every row against the rows of its block; blocks have at most `size` rows."""
    blocks = -(-len(rows[0]) // size)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    critic.eval()
    with torch.no_grad():
        for x, y in zip(*(side.tensor_split(blocks) for side in rows), strict=True):
            scores = critic(x, y)
            parts.append((bound.terms(scores), BOUNDS["dv"].terms(scores), scores.diagonal()))
    columns = (torch.cat(column).double().cpu().numpy() for column in zip(*parts, strict=True))
    return Scored(*columns)
