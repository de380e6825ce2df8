"""Tests of transfer: does the past of x say more about y than the past of y does?

Two hypotheses are tested, and the p-value of "no transfer" is the larger one of both, so that it is
valid where either of them is:

- The rotation test: x is independent of y, of y's past and of all else that is given. The rows of x
  are rotated against the others in time. For stationary series this changes nothing but the seam,
  whatever the autocorrelation of each.
- The residual test: y is independent of the past of x, given the past of y. Products of residuals
  are summed over blocks of neighbouring rows, whose signs are drawn at random. This assumes good
  regressions, and more blocks than a few. If what is given reaches far enough back, the products
  are uncorrelated in time, however autocorrelated x and y are. Where series are nearly as slow as
  random walks, such sums are not normal, and biased with feedback, unless earlier values are given
  too (lag augmentation): then only changes of x within a block are left.

With feedback from y to x only the second hypothesis can be true. Nothing is fitted here but least
squares on functions of what is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from infobound.inference.conditional_independence import are_classes, waves

__all__ = ["Sources", "Target", "residual_p", "rotation_p", "surrogate_p"]

WAVES = 4  # functions of a column of x or of y
MODIFIERS = 3  # columns of what is given with which the dependence may change
SHARE = 0.5  # weight of a product with a function of such a column
MULTIPLIED = 5  # most columns whose products are taken out
NEAR = 3.0  # standard deviations beyond which such products do not grow
EXPONENT = 1 / 3  # blocks have n ** EXPONENT rows


@dataclass(frozen=True, eq=False)
class Target:
    """Functions of y, without what the past of y and all else that is given say of them.

    Attributes:
        right: (n, m), the functions.
        basis: (n, k), orthonormal functions of what is given, and of it one block earlier.
        lengths: the number of rows of each trial, one after another.
    """

    right: np.ndarray
    basis: np.ndarray
    lengths: tuple[int, ...]

    @classmethod
    def of(
        cls, y: np.ndarray, given: np.ndarray, plain: np.ndarray, lengths: Sequence[int]
    ) -> Target:
        """Choose functions of residuals, alone and times functions of what is given.

        Args:
            y: (n, q), residuals.
            given: (n, r), standardised: the past of y, and what else is given.
            plain: (q,), which columns of y are of few values and used as they are.
            lengths: the number of rows of each trial.
        """
        classes = are_classes(given)
        columns = [np.ones((len(given), 1)), given, waves(given, WAVES, None, classes)]
        if 1 < given.shape[1] <= MULTIPLIED:
            first, second = np.triu_indices(given.shape[1])
            near = given.clip(-NEAR, NEAR)
            columns.append(near[:, first] * near[:, second])
        columns.append(_earlier(given, lengths))
        basis = _orthonormal(np.hstack(columns))
        functions = waves(y, WAVES, None, plain)
        modifiers = SHARE * waves(given[:, :MODIFIERS], 1, None, classes[:MODIFIERS])
        products = functions[:, :, None] * modifiers[:, None, :]
        every = np.hstack([functions, products.reshape(len(y), -1)])
        return cls(_without(basis, every), basis, tuple(lengths))


@dataclass(frozen=True, eq=False)
class Sources:
    """Functions of the past of x, one table for each candidate, for example for each lag.

    Attributes:
        tables: the functions (n, k) of each candidate.
    """

    tables: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, pasts: Sequence[np.ndarray], plain: Sequence[np.ndarray] | None = None) -> Sources:
        """Choose cosines of the ranks of each column.

        Args:
            pasts: the past (n, p) of each candidate, or its residuals.
            plain: which columns (p,) are of few values and used as they are; by default those of
                few values here.
        """
        kinds = [are_classes(past) for past in pasts] if plain is None else plain
        pairs = zip(pasts, kinds, strict=True)
        return cls(tuple(waves(past, WAVES, None, kind) for past, kind in pairs))


def rotation_p(
    sources: Sources, target: Target, *, rotations: int = 999, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values of the independence of each candidate and the target, by rotating candidates.

    In one series all rotations are compared. In several trials each is rotated by an amount of its
    own, `rotations` times. The p-values are adjusted for all candidates: each is the share of
    rotations, including none, in which the largest statistic is as large.

    Args:
        sources: the candidates, with functions of x alone.
        target: the target.
        rotations: how often several trials are rotated.
        seed: the seed of these.

    Returns:
        The p-values (c,), and the statistics (c,): the weighted mean of squared studentised sums of
        products, about 1 without dependence.

    Source: Harris 2020, https://arxiv.org/abs/2012.06862 (shifts in time); maximum statistics,
    Novelli et al. 2019, https://arxiv.org/abs/1902.06828.

    Example:
        >>> rng = np.random.default_rng(2)
        >>> x, y, past = rng.normal(size=(3, 400, 1))
        >>> for each in (y, y + x):
        ...     target = Target.of(each, past, np.array([False]), [400])
        ...     print(rotation_p(Sources.of([x]), target, seed=0)[0][0] < 0.05)
        False
        True
    """
    lengths = target.lengths
    rng = np.random.default_rng(seed)
    if len(lengths) == 1:
        moves = np.arange(lengths[0])[None]
    else:
        moves = (rng.random((len(lengths), rotations + 1)) * np.array(lengths)[:, None]).astype(int)
        moves[:, 0] = 0
    found = np.stack([_rotated(table, target.right, lengths, moves) for table in sources.tables])
    return _adjusted(found), found[:, 0]


def surrogate_p(sources: Sources, others: Iterable[Sources], target: Target) -> np.ndarray:
    """Return p-values (c,) of candidates from surrogates of x, adjusted for all candidates.

    Args:
        sources: the candidates.
        others: the same candidates from each surrogate.
        target: the target.

    Example:
        >>> rng = np.random.default_rng(2)
        >>> x, y, past = rng.normal(size=(3, 400, 1))
        >>> target = Target.of(y + x, past, np.array([False]), [400])
        >>> others = (Sources.of([rng.permutation(x)]) for _ in range(19))
        >>> surrogate_p(Sources.of([x]), others, target).tolist()
        [0.05]
    """
    still = np.zeros((len(target.lengths), 1), dtype=int)
    found = [
        [_rotated(table, target.right, target.lengths, still)[0] for table in each.tables]
        for each in (sources, *others)
    ]
    return _adjusted(np.array(found).T)


def residual_p(
    sources: Sources, target: Target, *, permutations: int = 999, seed: int
) -> np.ndarray:
    """Return p-values (c,) of y independent of each candidate, given the past of y.

    What is given is taken out of the functions of x too, and so is what each of them was one block
    earlier. Their products with those of y are summed over blocks of about n ** (1/3) rows. Under
    the hypothesis the sums are about independent, with mean zero. They are compared with sums of
    random signs, the same for all candidates, whose largest statistic adjusts for their number.

    Args:
        sources: the candidates, with functions of residuals of x.
        target: the target.
        permutations: the number of draws of signs; no p-value is below 1 / (1 + permutations).
        seed: the seed of the signs.

    Source: generalised covariance measure, Shah and Peters 2020, https://arxiv.org/abs/1804.07203;
    dependent wild bootstrap, Shao 2010, https://doi.org/10.1198/jasa.2009.tm08744; lag
    augmentation, Toda and Yamamoto 1995, https://doi.org/10.1016/0304-4076(94)01616-8.

    Example:
        >>> rng = np.random.default_rng(2)
        >>> x, y, past = rng.normal(size=(3, 400, 1))
        >>> for each in (y, y + x):
        ...     target = Target.of(each, past, np.array([False]), [400])
        ...     print(residual_p(Sources.of([x]), target, seed=0)[0] < 0.05)
        False
        True
    """
    starts = _blocks(target.lengths)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations + 1, len(starts)))
    signs[0] = 1.0
    n, taken = target.basis.shape
    freedom = max(1 - (taken + 1) / n, 0.0)  # squares of residuals are too small by this factor
    found = []
    for table in sources.tables:
        left = _without_own(
            *(_without(target.basis, each) for each in (_earlier(table, target.lengths), table))
        )
        total, norm = np.zeros(permutations + 1), 0.0
        for column in left.T:
            sums = np.add.reduceat(column[:, None] * target.right, starts, axis=0)
            weights = (column**2).mean() * (target.right**2).mean(axis=0)
            total += _ratio((signs @ sums) ** 2, (sums**2).sum(axis=0)) @ weights
            norm += float(weights.sum())
        total[0] *= freedom
        found.append(total / max(norm, 1e-300))
    return _adjusted(np.stack(found))


def _adjusted(found: np.ndarray) -> np.ndarray:
    """Return p-values (c,) from statistics (c, draws), the first of which are those of the rows."""
    largest = found.max(axis=0)
    bars = found[:, 0] - 1e-9 * np.abs(found[:, 0])
    return np.asarray((largest >= bars[:, None]).mean(axis=1))


def _rotated(
    left: np.ndarray, right: np.ndarray, lengths: Sequence[int], moves: np.ndarray
) -> np.ndarray:
    """Return the statistic (draws,) with the rows of each trial rotated by moves (trials, draws).

    All rotations of a trial come from one circular convolution.
    """
    total, norm = np.zeros(moves.shape[1]), 0.0
    ends = np.cumsum([0, *lengths])
    parts = [right[a:b] for a, b in itertools.pairwise(ends)]
    spectra = [(np.fft.rfft(part, axis=0), np.fft.rfft(part**2, axis=0)) for part in parts]
    for column in left.T:
        sums = np.zeros((2, moves.shape[1], right.shape[1]))
        for k, (length, spectrum) in enumerate(zip(lengths, spectra, strict=True)):
            own = column[ends[k] : ends[k + 1]]
            for power in (0, 1):
                first = np.conj(np.fft.rfft(own ** (power + 1)))[:, None]
                sums[power] += np.fft.irfft(first * spectrum[power], length, axis=0)[moves[k]]
        weights = (column**2).mean() * (right**2).mean(axis=0)
        total += _ratio(sums[0] ** 2, sums[1]) @ weights
        norm += float(weights.sum())
    return np.asarray(total / max(norm, 1e-300))


def _ratio(squares: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return squares over variances, and zero where a variance is."""
    variances = np.broadcast_to(variances, squares.shape)
    tiny = 1e-12 * max(float(variances.max(initial=0.0)), 1e-300)
    found = np.zeros_like(squares)
    np.divide(squares, variances, out=found, where=variances > tiny)
    return found


def _size(lengths: Sequence[int]) -> int:
    """Return the number of rows of a block."""
    return max(1, int(np.rint(np.sum(lengths) ** EXPONENT)))


def _blocks(lengths: Sequence[int]) -> np.ndarray:
    """Return the first rows of blocks, none of which crosses the border of a trial."""
    size = _size(lengths)
    starts = [
        end - length + np.linspace(0, length, max(1, length // size), endpoint=False).astype(int)
        for end, length in zip(np.cumsum(lengths), lengths, strict=True)
    ]
    return np.concatenate(starts)


def _earlier(columns: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return columns (n, k) as they were one block earlier, or at the start of the trial."""
    size = _size(lengths)
    rows = [
        end - length + np.maximum(np.arange(length) - size, 0)
        for end, length in zip(np.cumsum(lengths), lengths, strict=True)
    ]
    return np.asarray(columns[np.concatenate(rows)])


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (n, k) of what the columns span."""
    scale = np.linalg.norm(columns, axis=0)
    left, sizes, _ = np.linalg.svd(columns / np.where(scale > 0, scale, 1.0), full_matrices=False)
    return np.asarray(left[:, sizes > 1e-8 * sizes[0]])


def _without(basis: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return columns less their projection on the basis."""
    return np.asarray(columns - basis @ (basis.T @ columns))


def _without_own(known: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return columns (n, k), each less its projection on the same column of what is known."""
    slopes = _ratio((known * columns).sum(axis=0), (known**2).sum(axis=0))
    return np.asarray(columns - slopes * known)
