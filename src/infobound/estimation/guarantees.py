"""Certificate and p-value of an estimate, from critics that were fitted to earlier rows only.

The critics of the folds are trained on each other's test rows, so their values are correlated and
their sum certifies nothing. Here the test rows of the folds form a sequence, and each fold is
scored by a critic that was fitted to the rows before it. The critic of the last fold satisfies this
already. To save time, critics of less than half of the rows are closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from infobound._system.memory import row_ids, subsample, take_rows
from infobound.config import Config
from infobound.data.pair import Pair
from infobound.estimation.selection import Ensemble, Job, candidates, fit_critic
from infobound.inference.certificates import Block, certified, played
from infobound.inference.class_certificates import ClassBlock, class_played, entropy_bound
from infobound.inference.dependent_rows import (
    CERTIFIED_GROUPS,
    Tested,
    group_p,
    series_p,
    smallest_by_moves,
)
from infobound.inference.permutation import double_center, permutation_p
from infobound.models.cosine import Witness

__all__ = ["Guarantees", "guarantees", "tested_p"]

KNOWN = 50_000  # largest number of rows that a cosine critic is fitted to
# Blocks scored per fold: it bounds memory, and the certificate grows only with log n
MOST_BLOCKS = 4
CLASS_ROWS = 4  # rows per value, on average, from which a side is one of classes
# Nats of the class bet on past rows from which pairs of rows certify less: they are left out
CLEAR_CLASSES = 0.5


@dataclass(frozen=True)
class Guarantees:
    """What holds whatever the critic is; what was not computed is None.

    Attributes:
        certified: a lower bound on I(X;Y), in nats.
        upper: an upper bound on H(Y) or H(X), and so on I(X;Y), in nats, if that side takes few
            values.
        p_value: the p-value of independence.
        test: how it was computed, for rows that are not independent.
        smallest_p: the smallest p-value that this test can give.
    """

    certified: float | None = None
    upper: float | None = None
    p_value: float | None = None
    test: str | None = None
    smallest_p: float | None = None


def guarantees(job: Job, whole: Sequence[np.ndarray], last: Ensemble) -> Guarantees:
    """Compute the certified lower bound, an upper one, and the p-value of independence.

    The p-value uses the critic and a cosine critic together, because small samples have too few
    rows for the closed forms of the bank.

    Args:
        job: the rows and settings of the estimate.
        whole: the indices of the test rows of each fold, in sequence.
        last: the critic fitted to all folds but the last.

    Returns:
        The guarantees. A series, whose rows are not independent, has a p-value alone, and so have
        few groups; of many, one row each is scored for the bounds.
    """
    config, pair, layout = job.config, job.pair, job.layout
    parts = whole
    tested = None if layout.independent else tested_p(pair, config)
    if tested is not None:
        if layout.groups is None or int(layout.groups.max()) + 1 < CERTIFIED_GROUPS:
            return Guarantees(None, None, tested.p_value, tested.test, tested.smallest)
        parts = [layout.one_of_each(part, seed=config.seed) for part in whole]
    classes = _Classes.of(pair, parts[0])
    tests: list[np.ndarray] = []
    blocks: list[Block] = []
    class_blocks: list[ClassBlock] = []
    paired = True
    earlier: _Scores | None = None
    for k in range(1, len(parts)):
        seeds = [int(s) for s in np.random.SeedSequence([config.seed, k, 1]).generate_state(4)]
        past = np.sort(np.concatenate(whole[:k]))
        fitted = last if k == len(parts) - 1 else _fit_on_past(job, past, k, seeds)
        known = subsample(past, KNOWN, seed=seeds[2])
        witness = Witness.fit(take_rows(pair.x, known), take_rows(pair.y, known))
        test = np.random.default_rng(seeds[3]).permutation(parts[k])
        for rows in np.array_split(test, -(-len(test) // config.eval_rows))[:MOST_BLOCKS]:
            together = double_center(witness(take_rows(pair.x, rows), take_rows(pair.y, rows)))
            if fitted is not None and fitted.parts:
                # The bet on a block is chosen on the one before, or on rows that the critic's
                # training left out.
                scores = _Scores.of(fitted, rows, classes)
                if earlier is None:
                    earlier = _Scores.of(*fitted.tuning_split(seeds[3]), classes)
                    if classes is not None:
                        paired = earlier.told(classes.log_shares(past)) < CLEAR_CLASSES
                if paired:
                    blocks.append(Block(scores.pairs, earlier.pairs))
                if classes is not None:
                    shares = classes.log_shares(past)
                    class_blocks.append(ClassBlock(*scores.classes, shares, earlier.classes))
                earlier = scores
                together += double_center(scores.pairs)
            tests.append(together)
    if tested is None:
        p_value = permutation_p(tests, permutations=config.permutations, seed=config.seed)
        tested = Tested(p_value)
    wealths = [played(blocks, level=config.level, seed=config.seed)] if blocks else []
    wealths += [class_played(class_blocks, level=config.level)] if class_blocks else []
    return Guarantees(
        certified=certified(wealths, level=config.level) if wealths else 0.0,
        upper=None if classes is None else classes.upper(parts, config.level),
        p_value=tested.p_value,
        test=tested.test,
        smallest_p=tested.smallest,
    )


def tested_p(pair: Pair, config: Config) -> Tested:
    """Test independence of rows that are a series, or in groups.

    Series in groups are moved within groups; whole groups are exchanged if moves are too few. Of
    more rows than the data checks read, evenly spaced ones are tested.

    Args:
        pair: the rows.
        config: the settings.
    """
    x, y, groups = pair.sample[1].x, pair.sample[1].y, pair.sample[1].groups
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
    if config.series:
        sizes = [len(x)] if groups is None else np.bincount(groups).tolist()
        by_groups = 1 / math.factorial(min(len(sizes), 20))
        if smallest_by_moves(sizes) <= max(1 - config.level, by_groups):
            return series_p(x, y, groups)
    assert groups is not None
    asked = {"permutations": config.permutations, "seed": config.seed}
    return group_p(x, y, groups, series=config.series, **asked)


@dataclass(frozen=True, eq=False)
class _Classes:
    """The classes of all rows: the values of a side that takes few.

    For the lower bound, values that do not occur in the first fold are merged, as the last class.
    Merging loses information, so the bound remains one.

    Attributes:
        of_x: whether the side is x.
        values: (n,), the value of each row, as an id.
        merged: (n,), the class of each row after merging.
        examples: for each class but the last, the index of a row of it in the first fold.
    """

    of_x: bool
    values: np.ndarray
    merged: np.ndarray
    examples: np.ndarray

    @classmethod
    def of(cls, pair: Pair, first: np.ndarray) -> _Classes | None:
        """Find the side of fewer values in the first fold; None if neither repeats its values."""
        counts = [len(np.unique(row_ids(take_rows(side, first)))) for side in (pair.x, pair.y)]
        if not 2 <= min(counts) <= len(first) / CLASS_ROWS:
            return None
        of_x = counts[0] < counts[1]
        values = pair.x_ids if of_x else pair.y_ids
        examples = first[np.unique(values[first], return_index=True)[1]]
        class_of = np.full(values.max() + 1, len(examples))
        class_of[values[examples]] = np.arange(len(examples))
        return cls(of_x, values, class_of[values], examples)

    def log_shares(self, past: np.ndarray) -> np.ndarray:
        """Return the logs of the shares (K,) of the classes among past rows."""
        counts = np.bincount(self.merged[past], minlength=len(self.examples) + 1) + 0.5
        return np.asarray(np.log(counts / counts.sum()))

    def upper(self, parts: Sequence[np.ndarray], level: float) -> float:
        """Return an upper bound on the entropy of the side, in nats."""
        count = int(self.values.max()) + 1
        return entropy_bound([self.values[part] for part in parts], count, level=level)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of rows with each other (n, n), and with every class (n, K), and the rows' classes.

    Without classes, the last are empty.
    """

    pairs: np.ndarray
    classes: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, fitted: Ensemble, rows: np.ndarray, classes: _Classes | None) -> _Scores:
        if classes is None:
            return cls(fitted.matrix(rows), (np.empty((len(rows), 0)), np.empty(0, int)))
        n = len(rows)
        scores = fitted.matrix(np.concatenate([rows, classes.examples]))
        ratios = scores[n:, :n].T if classes.of_x else scores[:n, n:]
        ratios = np.pad(ratios.astype(np.float64), ((0, 0), (0, 1)))  # the last: not seen before
        return cls(scores[:n, :n], (ratios, classes.merged[rows]))

    def told(self, log_shares: np.ndarray) -> float:
        """Return the mean log ratio of the rows' own classes, in nats."""
        ratios, own = self.classes
        log_q = log_softmax(ratios + log_shares, axis=1)
        return float((log_q - log_shares)[np.arange(len(own)), own].mean())


def _fit_on_past(job: Job, past: np.ndarray, k: int, seeds: Sequence[int]) -> Ensemble | None:
    """Fit a critic to past rows, in less time than the critic of a fold takes.

    Bases are compared on one split, which certifies as much as three. Only one network is trained,
    with half of the iterations and half of the patience. With less than half of all rows the critic
    is a closed form, or None if the settings allow none.
    """
    half = {name: -(-getattr(job.config, name) // 2) for name in ("n_iters", "patience")}
    config = job.config.with_(**half)
    if 2 * len(past) < len(job.pair.x) - 1:
        if not candidates(job.config, None):
            return None
        config, job = config.with_(critic="none"), replace(job, module=None)
    job = replace(job, config=config)
    return fit_critic(job, past, name=f"past-{k}", seeds=seeds[:3], quick=True)
