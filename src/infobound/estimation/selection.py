"""Fitting and selection of critics on training rows: transforms, closed forms and networks.

The order: transforms, closed forms, then a network on top of the best one (`training.loop`).
Nothing here sees a test row; `crossfit` and `guarantees` decide which rows a critic is tested on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from infobound import data
from infobound._system.memory import subsample, take_rows
from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS, Bound, lookup
from infobound.config import Config
from infobound.critics import contract, networks
from infobound.errors import InputError
from infobound.inference.standard_errors import standard_error
from infobound.models.closed_forms import BASES, BESIDE, BROAD, TABLE_ROWS, Base, Shape, bank, stem
from infobound.models.copulas import GaussianCopula, canonical_directions
from infobound.models.unwinding import BehindError
from infobound.training import loop

__all__ = [
    "Ensemble",
    "Fitted",
    "Job",
    "Scored",
    "candidates",
    "configure_bound",
    "fit_critic",
    "most_rows",
    "ramp",
    "score",
]

FEW_TRAINING_ROWS = 1500  # training rows below which bases are compared on splits of their own
SPLITS, QUICK = (0.2, 3), (0.3, 1)  # the share of rows held out of each of them, and their number
FITTED = 256_000  # largest number of training rows that are fitted, unless the settings draw more
VALIDATED = 25_000  # largest number of validation rows
VALUES = 10_000_000  # largest number of values of scored rows in memory at once
TIED = 1e-4  # nats by which a base must exceed the next to get all of the weight: beyond rounding
SCORED_AT_ONCE = 128  # pairs scored at once of which only the diagonal is used
BASES_OF = {"gaussian": ("gaussian", "gaussian_shrunk"), "student": ("student",)}  # by estimator
CONVINCED = 1.645  # gain in standard errors at which a critic gets weight 1/2: one-sided p = 0.05
# Gain in standard errors up to which a critic gets no weight; then the weight rises linearly.
HESITANT = loop.CLEAR_GAIN


def configure_bound(config: Config) -> Bound:
    """Return the bound that the configuration names, with its settings fixed."""
    bound = lookup(config.bound)
    known = config.as_dict()
    return bound.bind(**{name: known[name] for name in bound.settings if name in known})


@dataclass(frozen=True)
class Job:
    """The rows, settings, bound and hooks that all fits of one estimate share.

    Attributes:
        pair: the rows.
        config: the settings.
        bound: the bound.
        module: the user's own critic, if there is one.
        hooks: connect the fits to the run directory and to the caller.
        given: how many columns of x, the last ones, are given.
        sceptical: whether a base that is worse than none is always left out.
        shapes: bases of what is given and y, which those of other columns of x may be added to.
    """

    pair: data.Pair
    config: Config
    bound: Bound
    module: nn.Module | None = None
    hooks: loop.Hooks = field(default_factory=loop.Hooks)
    given: int = 0
    sceptical: bool = False
    shapes: tuple[Fitted, ...] = ()

    @cached_property
    def layout(self) -> data.Layout:
        """How rows depend on each other."""
        return data.Layout.of(self.pair, self.config)

    @cached_property
    def bank(self) -> Mapping[str, Base]:
        """The closed-form models that the rows are compared with, by name."""
        return bank(self.given)


@dataclass(frozen=True)
class Scored:
    """Per-row contributions (n,) in nats: to the bound, to Donsker-Varadhan, and the positives."""

    terms: np.ndarray
    dv: np.ndarray
    positives: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """Concatenate the contributions of several groups of rows."""
        columns = ([getattr(part, name) for part in parts] for name in ("terms", "dv", "positives"))
        return cls(*map(np.concatenate, columns))

    def normaliser(self) -> tuple[float, float]:
        """Return the log mean of e^f over the negatives, and its standard error, in nats."""
        terms = self.positives - self.dv
        return float(terms.mean()), float(terms.std() / math.sqrt(len(terms)))


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 up to `low`, 1 from `high` on, and interpolate linearly in between.

    Choices use it as a weight, so that rounding cannot flip them: near a tie both options count.

    Example:
        >>> ramp(0.5, 1, 2), ramp(1.5, 1, 2), ramp(9, 1, 2)
        (0.0, 0.5, 1.0)
    """
    return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class Fitted:
    """A fitted critic and the rows that it was fitted to.

    Attributes:
        critic: the critic.
        inputs: the transformed rows.
        rows: the indices of the rows that it was fitted to.
        validation: the indices of the validation rows.
        fit: the training of the network, if there was one.
        base: the name of its base, if there is one.
        kept: whether it has a network.
        job: the rows and settings of the estimate.
        weight: its weight in an `Ensemble`.
        rival: the base fitted without validation rows, as it was compared with networks.
    """

    critic: networks.Composite
    inputs: _Inputs
    rows: np.ndarray
    validation: np.ndarray
    fit: loop.Fit | None
    base: str | None
    kept: bool
    job: Job
    weight: float = 1.0
    rival: networks.Composite | None = None

    def scored(self, rows: np.ndarray) -> Scored:
        """Score rows in blocks and return their contributions."""
        blocks = np.array_split(rows, -(-len(rows) // self.job.config.eval_rows))
        together = max(1, VALUES // (self.inputs.width * len(blocks[0])))
        parts = []
        for start in range(0, len(blocks), together):
            group = np.concatenate(blocks[start : start + together])
            here = self.inputs.rows(group)
            parts.append(score(self.critic, self.job.bound, here, len(blocks[start])))
        return Scored.joined(parts)

    def instead(self, base: str, rows: np.ndarray) -> Fitted:
        """Return another base alone, fitted to these rows."""
        critic = self.inputs.critic(base, rows, None, self.job.config)
        fitted = self.inputs.fitted_to(base, rows)
        return replace(self, critic=critic, rows=fitted, base=base, kept=False, weight=1.0)

    def columns(self, rows: np.ndarray) -> loop.Rows:
        """Return the columns of x and of y that the base reads."""
        x, y = self.inputs.rows(rows)
        reads = self.critic.base_reads
        return x[:, reads.x], y[:, reads.y]

    @property
    def form(self) -> Base | None:
        """The entry of its base in the bank, if there is one."""
        return None if self.base is None else self.job.bank[self.base]

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (n, n) of n rows, in nats."""
        self.critic.eval()
        found: np.ndarray = tiled.scores(self.critic, *self.inputs.rows(rows)).cpu().numpy()
        return found

    def scores(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the scores (n,) of pairs of rows that need not be among those of the estimate."""
        self.critic.eval()
        found = []
        with torch.no_grad():
            for at in range(0, len(x), SCORED_AT_ONCE):
                sides = (
                    _seen(
                        transform,
                        rows[at : at + SCORED_AT_ONCE],
                        self.inputs.raw,
                        self.inputs.device,
                    )
                    for transform, rows in zip(self.inputs.transforms, (x, y), strict=True)
                )
                found.append(self.critic(*sides).diagonal())
        return np.asarray(torch.cat(found).double().cpu().numpy())

    def tuning_split(self, seed: int) -> tuple[Fitted, np.ndarray]:
        """Return a similar critic, and training rows that it did not see.

        A network is its own, with its validation rows; a base alone is refitted to two thirds of
        its rows.
        """
        if self.kept:
            return self, self.validation[: self.job.config.eval_rows]
        seen, held = self.job.layout.hold_out(self.rows, 1 / 3, seed=seed)
        again = self.inputs.critic(self.base, seen, None, self.job.config)
        return replace(self, critic=again), subsample(held, self.job.config.eval_rows, seed=seed)


@dataclass(frozen=True)
class Ensemble:
    """Critics whose scores are averaged by weight; weight missing to one counts as scores of 0.

    Usually there is one critic of weight 1. There are several if the gain of a network over its
    base is neither clear nor negligible, or if bases are about as good, and none if no critic was
    better than a constant one.

    `tested` names the base that a test found to be needed, if there is one; it need not be among
    the parts.
    """

    parts: tuple[Fitted, ...]
    tested: str | None = None

    @property
    def main(self) -> Fitted | None:
        """The critic of the largest weight; None if the missing weight is larger."""
        first = max(self.parts, key=lambda part: part.weight, default=None)
        rest = 1 - sum(part.weight for part in self.parts)
        return first if first is not None and first.weight >= rest else None

    @property
    def fit(self) -> loop.Fit | None:
        """The training of the main critic, or else the first training."""
        fits = [part.fit for part in self.parts if part.fit is not None]
        main = self.main
        return main.fit if main is not None and main.fit is not None else next(iter(fits), None)

    @property
    def shared(self) -> float:
        """The weight of critics that are a sum with a base of what is given."""
        return sum(part.weight for part in self.parts if part.form and part.form.beside)

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (n, n) of n rows, in nats."""
        if len(self.parts) == 1 and self.parts[0].weight == 1:
            return self.parts[0].matrix(rows)
        total = np.zeros((len(rows), len(rows)), dtype=np.float32)
        for part in self.parts:
            total += np.float32(part.weight) * part.matrix(rows)
        return total

    def scores(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the scores (n,) of pairs of rows x (n, p) and y (n, q), in nats."""
        return np.asarray(sum(part.weight * part.scores(x, y) for part in self.parts))

    def tuning_split(self, seed: int) -> tuple[Ensemble, np.ndarray]:
        """Return similar critics, and training rows that they did not see."""
        if len(self.parts) == 1:
            similar, rows = self.parts[0].tuning_split(seed)
            return Ensemble((similar,)), rows
        rows = self.parts[0].validation[: self.parts[0].job.config.eval_rows]
        shown = [p if p.rival is None else replace(p, critic=p.rival) for p in self.parts]
        return Ensemble(tuple(shown)), rows


def fit_critic(
    job: Job, training: np.ndarray, *, name: str, seeds: Sequence[int], quick: bool = False
) -> Ensemble | None:
    """Fit critics to training rows, and weight them by their gain on a held-out part of these.

    If there are more training rows than training would draw, a sample is drawn first and the other
    rows are ignored. The weight of a network rises with its gain on validation rows over the base.
    The remaining weight goes to the next network, and finally to the base. If there are many
    columns relative to rows and no base is better than a constant critic, the constant critic takes
    the place of the base.

    Args:
        job: the rows and settings of the estimate.
        training: the indices of the training rows.
        name: the name of the checkpoints and of the progress bar.
        seeds: three seeds: of the validation split, of the initial weights and of the batches.
        quick: whether to train one network at most, and to compare bases on one split.

    Returns:
        The critics, or None if the settings allow neither a base nor a network for so few rows.
    """
    config, module = job.config, job.module
    training = subsample(training, most_rows(config), seed=seeds[0])
    share = min(config.validation, VALIDATED / len(training))
    fit_rows, validation_rows = job.layout.hold_out(training, share, seed=seeds[0])
    if len(validation_rows) > config.eval_rows:  # training evaluates the first ones only
        shuffle = np.random.default_rng(seeds[0]).permutation
        fit_rows, validation_rows = shuffle(fit_rows), shuffle(validation_rows)
    inputs = _Inputs.make(job, training)
    validation = inputs.rows(validation_rows)
    splits = [(fit_rows, validation_rows)]
    if len(training) < FEW_TRAINING_ROWS and not config.series:
        held, again = QUICK if quick else SPLITS
        splits = [job.layout.hold_out(training, held, seed=seeds[0] + k) for k in range(again)]
    best = _best_bases(inputs, splits, len(fit_rows), seeds[0])
    starts = _starts(inputs, best, fit_rows, config)[: 1 if quick else None]
    several = bool(starts) or len(best.shares) > 1  # then the base is compared with others
    rival = None
    if best.alone is not None and several:
        rival = inputs.critic(best.alone, fit_rows, None, config)
    parts: list[Fitted] = []
    rest, tried = 1.0, None
    for start, reads in starts:
        network = _network(inputs, fit_rows, reads, config, module, seeds[1])
        if network is None:
            continue
        trained = inputs.critic(start, fit_rows, network, config, reads)
        fit = loop.fit(
            trained,
            job.bound,
            inputs.rows(fit_rows),
            validation,
            config,
            seed=seeds[2],
            name=name if reads == "network" else f"{name}-canonical",
            run=job.hooks.run,
            watch=job.hooks.on_progress,
            stop=job.hooks.should_stop,
            rival=_standard(rival, best, job, validation) if module is None else None,
        )
        tried = tried or fit
        weight = 1.0
        if rival is not None or best.rejected:
            weight = _weight(trained, rival, job, validation, validation_rows)
        if weight > 0:
            part = Fitted(trained, inputs, fit_rows, validation_rows, fit, start, True, job)
            parts.append(replace(part, weight=rest * weight))
        rest *= 1 - weight
        if rest == 0:
            break
    for base, share in best.shares if rest > 0 else []:
        # A base needs no validation rows, so it is fitted to all training rows.
        critic = inputs.critic(base, training, None, config)
        rows = inputs.fitted_to(base, training)
        part = Fitted(critic, inputs, rows, validation_rows, tried, base, False, job)
        alternative = inputs.critic(base, fit_rows, None, config) if several else None
        parts.append(replace(part, weight=rest * share, rival=alternative))
    return Ensemble(tuple(parts), best.tested) if parts or best.rejected else None


@dataclass(frozen=True)
class _Inputs:
    """Transformed rows as the critics read them, with the columns of each kind as `InputColumns`.

    The rows given to `make` are kept in memory; others are transformed on demand.
    """

    job: Job
    transforms: list[data.Transform]
    raw: bool  # whether the network reads untransformed columns, which replace the radii
    device: torch.device
    held: np.ndarray
    x: Tensor
    y: Tensor
    reads: dict[str, networks.InputColumns]
    levels: tuple[int, int]  # numbers of distinct training rows of x and of y
    own_levels: int  # the number of distinct training rows of the columns of x that are not given
    fitted: dict[tuple[str, bytes], nn.Module]  # cache of fitted bases by name and rows

    @classmethod
    def make(cls, job: Job, training: np.ndarray) -> _Inputs:
        """Fit the transforms to the training rows alone, and transform these."""
        pair, config, module = job.pair, job.config, job.module
        kind = config.transform
        kind = ("both" if module is None else "raw") if kind == "auto" else kind
        held, where = np.sort(training), loop.device(config, module)
        sides: list[Tensor] = []
        transforms: list[data.Transform] = []
        levels: list[int] = []
        slices: dict[str, list[slice]] = {}
        for values in (pair.x, pair.y):
            rows, d = take_rows(values, held), values.shape[1]
            transforms.append(data.Transform.fit(rows))
            levels.append(data.n_distinct(rows, repeated=TABLE_ROWS))
            sides.append(_seen(transforms[-1], rows, kind == "raw", where))
            slices.setdefault("scores", []).append(slice(0, d))
            slices.setdefault("robust", []).append(slice(d, 2 * d))
            slices.setdefault("columns", []).append(slice(0, 2 * d))
            slices.setdefault("raw", []).append(slice(2 * d, 3 * d))
            slices.setdefault("both", []).append(slice(0, 2 * d + 4))
        reads = {name: networks.InputColumns(*both) for name, both in slices.items()}
        reads["network"] = reads[kind]
        d = pair.x.shape[1]
        p = d - job.given
        own_levels = levels[0]
        if job.given:
            for name in ("scores", "robust", "columns"):
                columns = range(2 * d)[slices[name][0]]
                parts = {"own": [k for k in columns if k % d < p]}
                parts["given"] = [k for k in columns if k % d >= p]
                for part, each in parts.items():
                    reads[f"{part} {name}"] = networks.InputColumns(each, reads[name].y)
            own_levels = data.n_distinct(take_rows(pair.x, held)[:, :p], repeated=TABLE_ROWS)
        known = (held, sides[0], sides[1], reads, (levels[0], levels[1]))
        return cls(job, transforms, kind == "raw", where, *known, own_levels, {})

    @property
    def width(self) -> int:
        """The number of transformed columns of x and y together."""
        return self.x.shape[1] + self.y.shape[1]

    def shape(self, rows: int, own: bool = False) -> Shape:
        """Return the shape of a sample of that many training rows, perhaps without the given."""
        p, q = self.job.pair.x.shape[1], self.job.pair.y.shape[1]
        if own:
            p, levels = p - self.job.given, (self.own_levels, self.levels[1])
        else:
            levels = self.levels
        return Shape(rows, p + q, *levels, min(p, q))

    def rows(self, index: np.ndarray) -> loop.Rows:
        """Return the transformed rows with these indices."""
        place = np.searchsorted(self.held, index).clip(max=len(self.held) - 1)
        if (self.held[place] == index).all():
            at = torch.from_numpy(place).to(self.device)
            return self.x[at], self.y[at]
        pair = self.job.pair
        x, y = (
            _seen(transform, take_rows(values, index), self.raw, self.device)
            for transform, values in zip(self.transforms, (pair.x, pair.y), strict=True)
        )
        return x, y

    def fitted_to(self, name: str, index: np.ndarray) -> np.ndarray:
        """Return the rows among these that a base is fitted to: a sample if the fit is slow."""
        most = self.job.bank[name].most
        return index if most is None else subsample(index, most, seed=0)

    def _fit(self, name: str, x: Tensor, y: Tensor, least: float) -> nn.Module:
        """Fit the base of that name, starting from an earlier fit in this fold if it can."""
        base = self.job.bank[name]
        earlier = [model for (other, _), model in self.fitted.items() if other == name]
        if base.refit and earlier:
            return base.refit(earlier[0], x, y)
        return base.fit(x, y, least=least) if base.ends_early else base.fit(x, y)

    def _sum(self, name: str, index: np.ndarray, config: Config) -> networks.Sum:
        """Fit the base of that name and those of what is given, and add them."""
        own = self.critic(name, index, None, config)
        terms = [networks.Term(_base(own), own.base_reads)]
        for part in self.job.shapes:
            assert part.form is not None
            other = part.inputs.critic(part.base, index, None, part.job.config)
            reads = self.reads[f"given {part.form.inputs}"]
            terms.append(networks.Term(_base(other), reads, part.weight))
        return networks.Sum(terms)

    def critic(
        self,
        name: str | None,
        index: np.ndarray,
        network: nn.Module | None,
        config: Config,
        network_reads: str = "network",
        *,
        least: float = -math.inf,
    ) -> networks.Composite:
        """Fit the base of that name to these rows and add the network to it.

        A base that ends early raises `BehindError` if it would not reach the MI `least`, nats.
        """
        model: nn.Module | None = None
        reads = networks.InputColumns()
        if name is not None and self.job.bank[name].beside:
            model = self._sum(stem(name), index, config)
        elif name is not None:
            base = self.job.bank[name]
            reads = self.reads[f"own {base.inputs}" if base.own else base.inputs]
            if (name, index.tobytes()) not in self.fitted:
                x, y = self.rows(self.fitted_to(name, index))
                sides = x[:, reads.x], y[:, reads.y]
                self.fitted[name, index.tobytes()] = self._fit(name, *sides, least)
            model = self.fitted[name, index.tobytes()]
        critic = networks.Composite(
            model,
            network,
            base_reads=reads,
            network_reads=self.reads[network_reads],
            gamma=config.gamma,
        )
        return critic.to(self.device)


def _base(critic: networks.Composite) -> nn.Module:
    """Return the base of a critic that has one."""
    assert critic.base is not None
    return critic.base


def _seen(transform: data.Transform, rows: np.ndarray, raw: bool, where: torch.device) -> Tensor:
    """Transform rows (n, d) to the columns that critics read, float32."""
    seen = transform.every(rows)
    if raw:
        seen = np.concatenate([seen[:, : 2 * rows.shape[1]], rows], axis=1)
    return torch.from_numpy(seen).float().to(where)


def most_rows(config: Config) -> int:
    """Return the largest number of rows that a critic is fitted to: as many as training draws."""
    return max(FITTED, config.n_iters * config.batch_size)


def candidates(
    config: Config, module: nn.Module | None, known: Mapping[str, Base] = BASES
) -> list[str]:
    """Return the names of the closed-form models that the settings allow.

    Args:
        config: the settings.
        module: the user's own critic; with one, `base="auto"` means no base.
        known: the models that there are; those whose names are those of `BASES` and an ending are
            allowed with these.

    Returns:
        Keys of `BASES`.

    Raises:
        InputError: If a name is unknown.

    Example:
        >>> candidates(Config(base="gaussian,mixture"), None)
        ['gaussian', 'mixture']
    """
    if config.base == "none" or (config.base == "auto" and module is not None):
        return []
    if config.base == "auto" and config.estimator not in BASES_OF:
        return [name for name, base in known.items() if not base.named]
    stems = dict.fromkeys(map(stem, known))
    names = [name.strip() for name in config.base.split(",")]
    if config.estimator in BASES_OF:
        names = list(BASES_OF[config.estimator])
    for name in names:
        if name not in stems:
            there = ", ".join(["auto", "none", *stems])
            raise InputError(f"Expected base to be among {there}; got {name!r}.")
    return names if known is BASES else [name for name in known if stem(name) in names]


class _Best(NamedTuple):
    """The best base, the best base for a network, and whether all were worse than no base.

    `complete`: whether one of those that were compared leaves nothing for a network to find.
    `shares` has the bases that are best or nearly as good, with weights that sum to one.
    `tested`: the base that a test found to be needed.
    """

    alone: str | None
    start: str | None
    rejected: bool
    complete: bool
    shares: list[tuple[str, float]]
    tested: str | None = None


def _best_bases(
    inputs: _Inputs, splits: Sequence[tuple[np.ndarray, np.ndarray]], fitted: int, seed: int
) -> _Best:
    """Select the best closed-form model, and the best one that a network can start from.

    The criterion is InfoNCE on the held-out rows of each split. The negatives of a held-out row
    are all held-out rows and fitted rows, so that few held-out rows do not mean a low ceiling. If
    there are many columns relative to rows, a model that is worse than none is left out.
    """
    job = inputs.job
    config, bases = job.config, job.bank
    names = [n for n in candidates(config, job.module, bases) if not bases[n].beside]
    shapes = {name: inputs.shape(fitted, bases[name].own) for name in names}
    possible = [name for name in names if bases[name].possible(shapes[name])]
    if config.base == "auto":
        possible = [name for name in possible if bases[name].unless not in possible]
        possible = [
            name
            for own in (True, False)
            for name in _special([n for n in possible if bases[n].own == own], bases, shapes)
        ]
    wide = inputs.shape(fitted).is_wide or job.sceptical
    compared = math.sqrt(sum(len(held) for _, held in splits))
    totals = {name: -len(splits) * bases[name].margin / compared for name in possible}
    gains = {n: 0.0 for n in possible if bases[n].own and not bases[n].partial and job.shapes}
    # Models of classes are shrunk by what held-out rows show: they need no comparison with none.
    harmless = [name for name in possible if bases[name].of_classes]
    tested = None
    compares = len(possible) > 1 or gains or (wide and not harmless)
    for fit, held in splits if compares else []:
        x, _ = inputs.rows(held[: config.eval_rows])
        _, y = inputs.rows(np.concatenate([held, fit])[: max(len(x), config.eval_rows)])
        copulas: dict[float, float] = {}  # values of Gaussian copulas by MI: models may be the same
        most = -math.inf  # the best value of another model
        for place, name in enumerate(possible):
            if totals[name] == -math.inf:
                continue
            before = {other: totals[other] for other in possible[:place]}
            if before.get(bases[name].after or "", math.inf) < max(before.values(), default=0):
                totals[name] = -math.inf  # it would take long, and not be the best
                continue
            try:
                critic = inputs.critic(name, fit, None, config, least=most)
            except BehindError:  # it was found to be needed, but another sees far more
                totals[name], tested = -math.inf, name
                continue
            if isinstance(critic.base, GaussianCopula):
                mi = critic.base.mi
                if mi not in copulas:
                    copulas[mi] = _infonce(critic, (x, y))
                value = copulas[mi]
            else:
                value = _infonce(critic, (x, y))
            if name in gains:
                both = inputs.critic(name + BESIDE, fit, None, config)
                gains[name] += _infonce(both, (x, y)) - value
            if isinstance(critic.base, GaussianCopula):
                totals[name] += value
                continue
            if bases[name].tested:
                tested = name
            elif bases[name].partial and copulas:
                mi, shown = max(copulas.items(), key=lambda each: each[1])
                trained = inputs.rows(subsample(fit, len(x), seed=seed))
                value = min(value, shown + (value + _infonce(critic, trained)) / 2 - mi)
            totals[name] += value
            most = max(most, value)
    totals |= {name + BESIDE: totals[name] + gain for name, gain in gains.items()}
    better = [n for n in totals if totals[n] > 0 or not wide or n in harmless]
    ranked = sorted(better, key=lambda name: -totals[name])
    cheap = all(shape.form and shape.form.can_start for shape in job.shapes)
    starts = [n for n in ranked if bases[n].can_start and (cheap or not bases[n].beside)]
    scores = {name: totals[name] / len(splits) for name in ranked}
    return _Best(
        alone=next(iter(ranked), None),
        start=next(iter(starts), None),
        rejected=bool(possible) and not ranked,
        complete=any(
            not (bases[n].of_classes or bases[n].own or bases[n].leaves(shapes[n]))
            for n in possible
        ),
        shares=_shares(scores),
        tested=tested,
    )


def _special(names: list[str], bases: Mapping[str, Base], shapes: Mapping[str, Shape]) -> list[str]:
    """Return the models that are made for classes alone, if there are any; else all of them."""
    special = [
        name
        for name in names
        if (shapes[name].has_names and bases[name].of_names)
        or (shapes[name].has_few_classes and bases[name].of_classes)
    ]
    return special or names


def _infonce(critic: nn.Module, rows: loop.Rows) -> float:
    """Return InfoNCE in nats of x (n, p), with the rows of y (m, q), m >= n, as negatives.

    It needs sums over rows alone, which takes a third of the time of `tiled.value`.
    """
    found, most = [], contract.scaled(contract.TILE, rows[1])
    size = max(1, most // (len(rows[1]) * contract.width(critic)))
    with torch.no_grad():
        a, b = contract.encode(critic, *rows)
        for k, block in enumerate(contract.split(a, size)):
            scores = contract.pair(critic, block, b)
            found.append(scores.diagonal(k * size) - scores.logsumexp(1))
    return float(torch.cat(found).mean()) + math.log(len(rows[1]))


def _shares(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Weight the best bases by their scores, nats, in descending order: by 0 at `TIED` below.

    Bases of equal scores are the same model, as where a search ends at the Gaussian copula.
    """
    found: dict[float, str] = {}
    for name, value in scores.items():
        found.setdefault(value, name)
    weights = {name: 1 - ramp(max(found) - value, 0, TIED) for value, name in found.items()}
    total = sum(weights.values())
    return [(name, weight / total) for name, weight in weights.items() if weight]


def _starts(
    inputs: _Inputs, best: _Best, rows: np.ndarray, config: Config
) -> list[tuple[str | None, str]]:
    """List the networks to try until one is kept: the base each starts from and what it reads.

    With many columns, a network that reads only canonical directions comes first, because it
    overfits less.
    """
    shape = inputs.shape(len(rows))
    if best.complete:
        return []
    if best.alone is not None:
        base = inputs.job.bank[best.alone]
        if not base.leaves(inputs.shape(len(rows), base.own)):
            return []
    starts: list[tuple[str | None, str]] = [(best.start, "network")]
    if shape.columns >= BROAD and config.transform == "auto":
        starts = [(None, "robust"), *starts]
    return starts


def _network(
    inputs: _Inputs,
    rows: np.ndarray,
    reads: str,
    config: Config,
    module: nn.Module | None,
    seed: int,
) -> nn.Module | None:
    """Build a new network for one fold: a copy of the user's, or the configured one.

    If it reads other columns than "network", it reads their canonical directions.
    """
    if config.estimator != "default":
        return None
    if module is not None:
        return copy.deepcopy(module) if reads == "network" else None
    x, y = (side[:, at] for side, at in zip(inputs.rows(rows), inputs.reads[reads], strict=True))
    generator = torch.Generator().manual_seed(seed)
    if reads == "network":
        return networks.build(x.shape[1], y.shape[1], config, generator)
    left, right = canonical_directions(x, y)
    network = (
        networks.build(left.shape[1], right.shape[1], config, generator) if left.numel() else None
    )
    return None if network is None else networks.Projected(left, right, network)


def _standard(rival: nn.Module | None, best: _Best, job: Job, rows: loop.Rows) -> Tensor | None:
    """Return the values (n,) of validation rows that a network must exceed; None if there are none.

    They are those of the best base, or zero, of a constant critic, if all bases were rejected.
    """
    if rival is not None:
        return loop.values(rival, job.bound, rows, job.config.eval_rows)
    return rows[0].new_zeros(len(rows[0])) if best.rejected else None


def _weight(
    critic: nn.Module, rival: nn.Module | None, job: Job, rows: loop.Rows, index: np.ndarray
) -> float:
    """Return the weight of a critic by its gain over its rival on validation rows, with indices.

    Without a rival, it is compared with a constant critic. The weight is 1/2 where the gain is
    `CONVINCED` standard errors.
    """
    bound, config = job.bound, job.config
    gain = score(critic, bound, rows, config.eval_rows).terms
    if rival is not None:
        gain = gain - score(rival, bound, rows, config.eval_rows).terms
    error = standard_error(gain, index, config, groups=job.layout.groups)
    if error == 0:
        return float(gain.mean() > 0)
    return ramp(float(gain.mean()) / error, HESITANT, 2 * CONVINCED - HESITANT)


def score(critic: nn.Module, bound: Bound, rows: loop.Rows, size: int) -> Scored:
    """Score every row against the rows of its block; blocks have at most `size` rows.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        bound: the bound whose terms are computed, besides Donsker-Varadhan.
        rows: x (n, p) and y (n, q).
        size: the largest number of rows of a block.

    Returns:
        The contributions of the rows, in nats.
    """
    blocks = -(-len(rows[0]) // size)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    critic.eval()
    with torch.no_grad():
        for x, y in zip(*(side.tensor_split(blocks) for side in rows), strict=True):
            positives, (terms, dv) = tiled.terms(critic, [bound, BOUNDS["dv"]], x, y)
            parts.append((terms, dv, positives))
    columns = (torch.cat(column).double().cpu().numpy() for column in zip(*parts, strict=True))
    return Scored(*columns)
