"""Certify a critic of your own on rows that it has not seen: lower bound and p-value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from infobound import data
from infobound._system import arguments, torch_state
from infobound.critics import contract
from infobound.errors import InputError
from infobound.inference.certificates import Block, certificate
from infobound.inference.permutation import double_center, permutation_p

__all__ = ["Guarantee", "certify"]

FEWEST = 20  # rows, below which nothing is worth certifying
BLOCK = 2500  # rows scored together
ROUNDS = 10  # of the Sinkhorn normalisation of a critic
LIMIT = 1e4  # scores beyond it are as good as infinite


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
    known = _count_overlap(pair, past)
    if known:
        raise InputError(
            f"Expected rows that the critic has not seen; got {known:,} that are among `seen`. "
            "Certify on rows that were held out from training and from every choice."
        )
    order = np.random.default_rng(seed).permutation(len(pair.x))
    parts = np.array_split(order, -(-len(order) // BLOCK))
    balanced = _sinkhorn_normalized(critic, past.x[-BLOCK:], past.y[-BLOCK:])
    scores = [balanced(pair.x[rows], pair.y[rows]) for rows in parts]
    if all(double_center(block).std() == 0 for block in scores):
        raise InputError(
            "Expected a fitted critic; got one whose scores do not depend on which x goes with "
            "which y. Train it first, or let `estimate` do it."
        )
    tuning = balanced(past.x[-BLOCK:], past.y[-BLOCK:])
    certified = certificate([Block(each, tuning) for each in scores], level=level, seed=seed)
    p_value = permutation_p(scores, permutations=permutations, seed=seed)
    return Guarantee(certified, p_value, level, len(order))


def _sinkhorn_normalized(
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
        dtype = torch.float64 if contract.is_double(critic) else torch.float32
        sides = [side.to(place, dtype) for side in sides]
        modes = {module: module.training for module in critic.modules()}
        critic.eval()
    try:
        with torch.no_grad(), torch_state.seeded(0):  # what it draws, if anything
            given = critic(*sides)
    finally:
        for module, training in modes.items():
            module.training = training
    scores = contract.checked(given, len(x), len(y)).detach().cpu().double().numpy()
    if np.isnan(scores).any():
        raise InputError(
            "Expected numbers from the critic; got nan for some pairs. Look for a division by zero "
            "or a logarithm of a negative number in it, or for training that diverged."
        )
    return np.asarray(scores.clip(-LIMIT, LIMIT))


def _count_overlap(pair: data.Pair, past: data.Pair) -> int:
    """How many rows stand in both; 0 where rows take few values and repeat by nature."""
    rows, old = (np.concatenate([each.x, each.y], axis=1) for each in (pair, past))
    if rows.shape[1] != old.shape[1]:
        raise InputError(
            f"Expected as many columns in seen as in x and y; got {old.shape[1]} and "
            f"{rows.shape[1]}."
        )
    before = {row.tobytes() for row in old}
    return 0 if len(before) < 0.9 * len(old) else sum(row.tobytes() in before for row in rows)
