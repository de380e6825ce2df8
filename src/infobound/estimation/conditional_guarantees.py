"""Certified lower bounds of I(X;Y|Z), from critics that were fitted to earlier rows only.

They exist where Z takes few values, and where p(x|z) is known. The critics read x, y and z as they
are: the residuals of `conditional` depend on all rows. To save time they are closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from infobound import data
from infobound._system import arguments
from infobound._system.memory import take_rows
from infobound.config import Config
from infobound.errors import InputError
from infobound.estimation.selection import Ensemble, Job, configure_bound, fit_critic
from infobound.inference.certificates import Block, certified, played
from infobound.inference.class_certificates import entropy_played
from infobound.inference.conditional_certificates import (
    SampledBlock,
    StratifiedBlock,
    less_entropy,
    sampled_scores,
)

__all__ = ["GivenSampler", "certified_by_draws", "certified_by_strata", "checked_sampler"]

DRAWS = 10  # of x for each row, with a known p(x|z)
STRATUM_ROWS = 10  # smallest mean number of rows of a value of z

GivenSampler = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def checked_sampler(sampler: GivenSampler, pair: data.Pair) -> GivenSampler:
    """Return a sampler of x given z whose draws are checked.

    Args:
        sampler: maps z (m, r) and a generator to draws of x (m, p).
        pair: the rows, whose columns x and z have.

    Raises:
        InputError: If it does not return finite numbers of that shape; now, on the first two rows,
            or later.
    """
    arguments.function("given_sampler", sampler, 2)
    p = pair.x.shape[1]

    def draw(z: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        try:
            found = np.asarray(sampler(z, generator), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Expected numbers of shape ({len(z)}, {p}) from given_sampler; got an error: "
                f"{error}. It takes z (m, r) and a numpy.random.Generator."
            ) from error
        found = found[:, None] if p == 1 and found.ndim == 1 else found
        if found.shape != (len(z), p) or not np.isfinite(found).all():
            what = f"shape {found.shape}" if found.shape != (len(z), p) else "NaN or inf"
            raise InputError(
                f"Expected finite numbers of shape ({len(z)}, {p}) from given_sampler, one row of "
                f"x for each of z; got {what}."
            )
        return found

    assert pair.given is not None
    draw(take_rows(pair.given, np.arange(2)), np.random.default_rng(0))
    return draw


def certified_by_strata(
    pair: data.Pair, config: Config, parts: Sequence[np.ndarray], strata: np.ndarray
) -> float | None:
    """Return a lower bound on I(X;Y|Z) for z of few values, in nats.

    Bets within strata, and bets on I((X,Z);Y) less an upper bound of H(Z), share the wealth.

    Args:
        pair: the rows.
        config: the settings.
        parts: the indices of the test rows of each fold, in sequence.
        strata: (n,), the value of z of each row, as an id.

    Returns:
        The bound; None if there are fewer than ten rows per value.
    """
    count = int(strata.max()) + 1
    if len(strata) < STRATUM_ROWS * count:
        return None
    blocks: list[StratifiedBlock] = []
    pairs: list[Block] = []
    for fitted, rows, similar, held in _in_sequence(pair, config, parts):
        scores, tuning = fitted.matrix(rows), similar.matrix(held)
        blocks.append(StratifiedBlock(scores, strata[rows], (tuning, strata[held])))
        pairs.append(Block(scores, tuning))
    if not blocks:
        return 0.0
    entropy = entropy_played([strata[part] for part in parts], count, level=config.level)
    wealths = [played(blocks, level=config.level, seed=config.seed)]
    if count > 1:
        wealths.append(
            less_entropy(
                played(pairs, level=config.level, seed=config.seed), entropy, math.log(count)
            )
        )
    return certified(wealths, level=config.level)


def certified_by_draws(
    pair: data.Pair, config: Config, parts: Sequence[np.ndarray], sampler: GivenSampler
) -> float:
    """Return a lower bound on I(X;Y|Z) for a known distribution of x given z, in nats.

    Args:
        pair: the rows.
        config: the settings.
        parts: the indices of the test rows of each fold, in sequence.
        sampler: draws x given z; see `checked_sampler`.
    """
    assert pair.given is not None
    blocks: list[SampledBlock] = []
    for k, (fitted, rows, similar, held) in enumerate(_in_sequence(pair, config, parts)):
        scored = []
        for j, (critic, index) in enumerate(((fitted, rows), (similar, held))):
            x, y, z = (take_rows(side, index) for side in (pair.x, pair.y, pair.given))
            seed = int(np.random.SeedSequence([config.seed, k, j, 2]).generate_state(1)[0])

            def of(x: np.ndarray, y: np.ndarray, z: np.ndarray, c: Ensemble = critic) -> np.ndarray:
                return c.scores(np.hstack([x, z]), y)

            scored.append(sampled_scores(of, sampler, x=x, y=y, z=z, negatives=DRAWS, seed=seed))
        blocks.append(SampledBlock(*scored[0], scored[1]))
    if not blocks:
        return 0.0
    return certified([played(blocks, level=config.level, seed=config.seed)], level=config.level)


def _in_sequence(
    pair: data.Pair, config: Config, parts: Sequence[np.ndarray]
) -> Iterator[tuple[Ensemble, np.ndarray, Ensemble, np.ndarray]]:
    """Yield a critic of earlier rows and rows to score, and a similar one with rows to tune on."""
    assert pair.given is not None
    everything = np.arange(len(pair.x))
    both = data.Pair(
        np.hstack([take_rows(pair.x, everything), take_rows(pair.given, everything)]),
        pair.y,
        (*pair.x_names, *pair.given_names),
        pair.y_names,
    )
    simple = config.with_(critic="none", base="auto", estimator="default")
    job = Job(both, simple, configure_bound(config), given=pair.given.shape[1])
    for k in range(1, len(parts)):
        seeds = [int(s) for s in np.random.SeedSequence([config.seed, k, 3]).generate_state(4)]
        past = np.sort(np.concatenate(parts[:k]))
        fitted = fit_critic(job, past, name=f"past-{k}", seeds=seeds[:3])
        if fitted is None or not fitted.parts:
            continue
        similar, held = fitted.tuning_split(seeds[3])
        test = np.random.default_rng(seeds[3]).permutation(parts[k])[: config.eval_rows]
        yield fitted, test, similar, held
