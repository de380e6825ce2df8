"""What can be proved of a pair: the certificate and the p-value, from critics of the past alone.

The folds' critics learn from each other's test rows, so their values hang together; sums of them
prove nothing. Here the folds' test rows stand in a sequence, and each is scored by a critic that
was fitted to those before it: what it says is a bet on rows that nobody has seen. The last fold's
critic is such a one already. To save time, critics of less than half of the rows are closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from infobound import arguments, data, pairs, torch_state
from infobound.certificates import Block, certificate
from infobound.errors import InputError
from infobound.fitting import Ensemble, Job, candidates, fit_critic
from infobound.independence import permutation_p
from infobound.storage import some, take
from infobound.witnesses import Witness

__all__ = ["Guarantee", "certify", "guarantees"]

FEWEST = 20  # rows, below which nothing is worth certifying
BLOCK = 2500  # rows scored together
ROUNDS = 10  # of balancing a critic
LIMIT = 1e4  # scores beyond it are as good as infinite
SAME = 1e-6  # spread of scores, below which they tell no pair from another
KNOWN = 50_000  # rows that a witness is fitted to at most
MOST = 4  # blocks of a fold that are scored: memory, and the certificate grows with log n


def guarantees(job: Job, parts: Sequence[np.ndarray], last: Ensemble) -> tuple[float | None, float]:
    """The certified lower bound, nats, and the p-value of independence.

    `parts` are the folds' test rows, in sequence; `last` is the critic fitted to all but the last.
    Rows of a series are not independent, and nothing is certified of them. The p-value comes from
    the critic and a witness together: small samples have too few rows for the bank's closed forms.
    """
    config, pair = job.config, job.pair
    tests: list[np.ndarray] = []
    blocks: list[Block] = []
    for k in range(1, len(parts)):
        seeds = [int(s) for s in np.random.SeedSequence([config.seed, k, 1]).generate_state(4)]
        past = np.sort(np.concatenate(parts[:k]))
        fitted = last if k == len(parts) - 1 else _of_the_past(job, past, k, seeds)
        known = some(past, KNOWN, seed=seeds[2])
        witness = Witness.fit(take(pair.x, known), take(pair.y, known))
        test = parts[k] if config.series else np.random.default_rng(seeds[3]).permutation(parts[k])
        tuning = blocks[-1].scores if blocks else None
        for rows in np.array_split(test, -(-len(test) // config.eval_rows))[:MOST]:
            together = _alike(witness(take(pair.x, rows), take(pair.y, rows)))
            if fitted is not None and fitted.parts:
                scores = fitted.matrix(rows)
                tuning = fitted.rehearsal(seeds[3]) if tuning is None else tuning
                blocks.append(Block(scores, tuning))
                together += _alike(scores)
            tests.append(together)
    certified = None
    if not config.series:
        certified = certificate(blocks, level=config.level, seed=config.seed) if blocks else 0.0
    p_value = permutation_p(
        tests, permutations=config.permutations, seed=config.seed, shifts=config.series
    )
    return certified, p_value


def _of_the_past(job: Job, past: np.ndarray, k: int, seeds: Sequence[int]) -> Ensemble | None:
    """A critic of past rows, in less time than a fold's.

    Its network has one try, half of the iterations and half of the patience. Of less than half of
    all rows it is a closed form, if one is allowed.
    """
    half = {name: -(-getattr(job.config, name) // 2) for name in ("n_iters", "patience")}
    config = job.config.with_(**half)
    if 2 * len(past) < len(job.pair.x) - 1:
        if not candidates(job.config, None):
            return None
        config, job = config.with_(critic="none"), replace(job, module=None)
    job = replace(job, config=config)
    return fit_critic(job, past, name=f"past-{k}", seeds=seeds[:3], tries=1)


def _alike(scores: np.ndarray) -> np.ndarray:
    """Scores (n, n) without what they owe to x alone or y alone, and of spread one.

    No permutation of y changes the spread, so it may be taken from the block itself.
    """
    scores = scores.astype(np.float32)
    scores -= scores.mean(0, dtype=np.float64).astype(np.float32)
    scores -= scores.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)
    spread = float(np.sqrt(np.square(scores).mean(dtype=np.float64)))
    scores *= 1 / spread if spread > SAME else 0
    return scores


@dataclass(frozen=True)
class Guarantee:
    """`certified` is a lower bound on I(X;Y), nats, at `level`; `p_value` is of independence.

    Example:
        >>> Guarantee(certified=0.5, p_value=0.001, level=0.95, n=300).certified
        0.5
    """

    certified: float
    p_value: float
    level: float
    n: int

    def __str__(self) -> str:
        """One line, with the unit."""
        return (
            f"I(X;Y) >= {self.certified:.3f} nats at {100 * self.level:.7g} %, "
            f"p = {self.p_value:.2g}, {self.n:,} rows"
        )


@torch_state.defaults()
def certify(
    critic: Callable[[Tensor, Tensor], Tensor],
    x: Any,
    y: Any,
    *,
    seen: tuple[Any, Any],
    level: float = 0.95,
    permutations: int = 999,
    seed: int = 0,
) -> Guarantee:
    """What your own trained critic proves on rows that it has never seen.

    Args:
        critic: x (n, p) and y (m, q), float32 tensors, to scores (n, m), in any scale. A module is
            evaluated in evaluation mode, on its own device; if it is float64, so are the tensors.
        x: (n, p) or (n,), independent rows that nobody has used to train, stop or choose.
        y: (n, q) or (n,).
        seen: (x, y) of rows that the critic knows, best those that stopped its training. They
            choose how to bet, and no row to be certified may be among them.
        level: the confidence, in (0, 1).
        permutations: of y, for the p-value.
        seed: of the pairings and the permutations.

    Raises:
        InputError: missing or infinite values, fewer than 20 rows, a level outside (0, 1), rows
            that are among `seen`, or a critic that gives all pairs the same score.

    Source: Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686; the proof is in
    docs/certificate.md.

    Example:
        >>> x = np.random.default_rng(0).normal(size=1000)
        >>> y = x + 0.3 * np.random.default_rng(1).normal(size=1000)  # exact: 1.247 nats
        >>> found = certify(lambda x, y: -5 * (x - y.T) ** 2, x[500:], y[500:],
        ...     seen=(x[:500], y[:500]))
        >>> 0.8 < found.certified < 1.247, round(found.p_value, 3)
        (True, 0.001)
    """
    level, seed = arguments.level("level", level), arguments.seed("seed", seed)
    permutations = arguments.integer("permutations", permutations, least=1, most=1_000_000)
    remedy = "Write seen=(x, y), two samples of rows."
    arguments.expect(
        isinstance(seen, (tuple, list)) and len(seen) == 2, "seen", "(x, y)", seen, remedy
    )
    callable_ = callable(critic) and not isinstance(critic, type)
    arguments.expect(callable_, "critic", "a function or a module of x and y", critic)
    arguments.function(
        "critic", critic.forward if isinstance(critic, torch.nn.Module) else critic, 2
    )
    pair, past = data.as_pair(x, y), data.as_pair(*seen)
    for name, given in (("x and y", pair), ("seen", past)):
        if len(given.x) < FEWEST:
            raise InputError(f"Expected at least {FEWEST} rows in {name}; got {len(given.x)}.")
    known = _among(pair, past)
    if known:
        raise InputError(
            f"Expected rows that the critic has not seen; got {known:,} that are among `seen`. "
            "Certify on rows that were held out from training and from every choice."
        )
    order = np.random.default_rng(seed).permutation(len(pair.x))
    parts = np.array_split(order, -(-len(order) // BLOCK))
    balanced = _balanced(critic, past.x[-BLOCK:], past.y[-BLOCK:])
    scores = [balanced(pair.x[rows], pair.y[rows]) for rows in parts]
    if all(_alike(block).std() == 0 for block in scores):
        raise InputError(
            "Expected a fitted critic; got one whose scores do not depend on which x goes with "
            "which y. Train it first, or let `estimate` do it."
        )
    tuning = balanced(past.x[-BLOCK:], past.y[-BLOCK:])
    certified = certificate([Block(each, tuning) for each in scores], level=level, seed=seed)
    p_value = permutation_p(scores, permutations=permutations, seed=seed)
    return Guarantee(certified, p_value, level, len(order))


def _balanced(
    critic: Callable[[Tensor, Tensor], Tensor], x: np.ndarray, y: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The critic with what it owes to x alone and to y alone replaced, so that e^f averages one.

    Both are fitted to rows (k, p) and (k, q) that it knows, in turn (Sinkhorn's iterations): a
    critic trained by InfoNCE is free in one of them, and a certificate is not.
    """
    known, log_k = _scores(critic, x, y), np.log(len(x))
    left, right = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(ROUNDS):
        left = log_k - logsumexp(known + right, axis=1)
        right = log_k - logsumexp(known + left[:, None], axis=0)

    def scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        own_a = log_k - logsumexp(_scores(critic, a, y) + right, axis=1)
        own_b = log_k - logsumexp(_scores(critic, x, b) + left[:, None], axis=0)
        return np.asarray(_scores(critic, a, b) + own_a[:, None] + own_b)

    return scores


def _scores(critic: Callable[[Tensor, Tensor], Tensor], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scores (n, m) in evaluation mode, without gradients, float64."""
    sides = [torch.from_numpy(side).float() for side in (x, y)]
    modes: dict[torch.nn.Module, bool] = {}
    if isinstance(critic, torch.nn.Module):
        place = next((p.device for p in critic.parameters()), torch.device("cpu"))
        dtype = torch.float64 if pairs.is_double(critic) else torch.float32
        sides = [side.to(place, dtype) for side in sides]
        modes = {module: module.training for module in critic.modules()}
        critic.eval()
    try:
        with torch.no_grad(), torch_state.seeded(0):  # what it draws, if anything
            given = critic(*sides)
    finally:
        for module, training in modes.items():
            module.training = training
    scores = pairs.checked(given, len(x), len(y)).detach().cpu().double().numpy()
    if np.isnan(scores).any():
        raise InputError(
            "Expected numbers from the critic; got nan for some pairs. Look for a division by zero "
            "or a logarithm of a negative number in it, or for training that diverged."
        )
    return np.asarray(scores.clip(-LIMIT, LIMIT))


def _among(pair: data.Pair, past: data.Pair) -> int:
    """How many rows stand in both; 0 where rows take few values and repeat by nature."""
    rows, old = (np.concatenate([each.x, each.y], axis=1) for each in (pair, past))
    if rows.shape[1] != old.shape[1]:
        raise InputError(
            f"Expected as many columns in seen as in x and y; got {old.shape[1]} and "
            f"{rows.shape[1]}."
        )
    before = {row.tobytes() for row in old}
    return 0 if len(before) < 0.9 * len(old) else sum(row.tobytes() in before for row in rows)
