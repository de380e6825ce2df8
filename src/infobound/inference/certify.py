"""Lower bound and p-value for a user's own critic, on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from infobound import data
from infobound._system import arguments, torch_state
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats
from infobound.critics import contract
from infobound.errors import InputError
from infobound.inference.certificates import Block, certificate
from infobound.inference.permutation import double_center, permutation_p
from infobound.pages.numbers import number, p_value, percent
from infobound.pages.page import Answer, Measure, Number, Page, Picture
from infobound.pages.presentable import Presentable
from infobound.pages.references import SOFTWARE
from infobound.plotting.dependence_figures import comparison_figure

__all__ = ["Guarantee", "certify"]

BETTING, PERMUTATION = "https://arxiv.org/abs/2010.09686", "https://arxiv.org/abs/1603.05766"

FEWEST_ROWS = 20  # minimum number of rows; fewer cannot certify anything useful
SCORED_ROWS = 2500  # rows scored together
SINKHORN_STEPS = 10  # Sinkhorn iterations in the normalisation of a critic
SCORE_LIMIT = 1e4  # scores are clipped to +-SCORE_LIMIT, so that sums stay finite


@dataclass(frozen=True, repr=False)
class Guarantee(Recorded, Presentable):
    """What `certify` has proved about a critic's rows.

    Attributes:
        certified: a lower bound on I(X;Y), in nats, at confidence `level`.
        p_value: the p-value of independence, in (0, 1].
        level: the confidence level, in (0, 1).
        n: the number of rows.

    Example:
        >>> Guarantee(certified=0.5, p_value=0.001, level=0.95, n=300).certified
        0.5
    """

    certified: Nats
    p_value: float
    level: float
    n: int

    def __str__(self) -> str:
        """Format the guarantee as one line with its unit."""
        return (
            f"I(X;Y) >= {self.certified:.3f} nats at {100 * self.level:.7g} %, "
            f"p = {self.p_value:.2g}, {self.n:,} rows"
        )

    def page(self, units: str = "nats") -> Page:
        """Describe both numbers, with what they may be used for.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        level, certified = percent(self.level), number(self.certified, units)
        return Page(
            kind="Certificate of a critic",
            title=f"Guarantees of a critic on {self.n:,} rows that it has not seen",
            headline=f"I(X;Y) >= {certified} {units} at {level}, {p_value(self.p_value)}",
            units=units,
            numbers=(
                Number(
                    "Certified",
                    certified,
                    units,
                    f"lower confidence bound at {level}",
                    "valid for any distribution of independent rows and any critic",
                    "Claim 'at least' with this confidence.",
                ),
                Number(
                    "Independence",
                    p_value(self.p_value),
                    what="test of independence by permuting y",
                    use="Claim dependence if it is small; else report that none was found.",
                ),
            ),
            measures=(Measure("certified", self.certified, self.certified, self.certified),),
            pictures=(
                Picture(
                    "certified",
                    "The certified lower bound; it has no upper end.",
                    partial(
                        comparison_figure,
                        [f"certified at {level}"],
                        np.array([self.certified]),
                        np.array([[self.certified, self.certified]]),
                        title=f"Certified on {self.n:,} rows",
                        unit=units,
                    ),
                ),
            ),
            methods=(
                f"A critic that was fitted to other rows was evaluated on {self.n:,} rows. The "
                f"lower confidence bound at {level} is by betting; it holds for any distribution "
                f"of independent rows. The p-value is that of permutations of y. "
                f"{self.call.sentence}",
            ),
            checklist=(
                Answer("How many rows?", f"{self.n:,}, taken as independent."),
                Answer("Which unit?", f"{units.capitalize()}."),
                Answer(
                    "Which null hypothesis, and how many tests?",
                    "'x and y are independent', one test.",
                ),
                Answer(
                    "Was the critic fitted to any of these rows?",
                    "None of the rows that were given as seen; other rows that it has seen cannot "
                    "be found here.",
                ),
            ),
            settings={"level": level, **self.call.shown},
            versions=self.call.versions,
            repeat=self.call.repeat,
            references=(SOFTWARE, BETTING, PERMUTATION),
        )


@recorded("critic", "x", "y", "seen")
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
    """Compute a certified lower bound and a p-value for a trained critic, on rows new to it.

    Args:
        critic: maps x (n, p) and y (m, q), float32 tensors, to scores (n, m) on any scale. A module
            is called in evaluation mode, on its own device; if it is float64, so are the tensors.
        x: (n, p) or (n,), independent rows that were not used for training, early stopping or any
            choice. Categories must be encoded as the critic reads them.
        y: (n, q) or (n,).
        seen: (x, y) of rows that the critic may have seen, preferably the validation rows that
            stopped its training. The bet is chosen on them; none of the rows to be certified may be
            among them.
        level: the confidence level, in (0, 1).
        permutations: the number of permutations of y for the p-value.
        seed: seed of the pairings and the permutations.

    Returns:
        The certified lower bound in nats, the p-value, the level and the number of rows.

    Raises:
        InputError: If values are text, missing or infinite, there are fewer than 20 rows, the level
            is outside (0, 1), rows to be certified are among `seen`, the critic returns NaN or
            another shape, or its scores do not depend on which x goes with which y.

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
    # Two samples may have other categories, so the meaning of a column would be undefined.
    pair, past = data.as_pair(x, y, part=True), data.as_pair(*seen, part=True)
    for name, given in (("x and y", pair), ("seen", past)):
        if len(given.x) < FEWEST_ROWS:
            raise InputError(f"Expected at least {FEWEST_ROWS} rows in {name}; got {len(given.x)}.")
    known = _count_overlap(pair, past)
    if known:
        raise InputError(
            f"Expected rows that the critic has not seen; got {known:,} that are among `seen`. "
            "Certify on rows that were held out from training and from every choice."
        )
    order = np.random.default_rng(seed).permutation(len(pair.x))
    parts = np.array_split(order, -(-len(order) // SCORED_ROWS))
    balanced = _sinkhorn_normalized(critic, past.x[-SCORED_ROWS:], past.y[-SCORED_ROWS:])
    scores = [balanced(pair.x[rows], pair.y[rows]) for rows in parts]
    if all(double_center(block).std() == 0 for block in scores):
        raise InputError(
            "Expected a fitted critic; got one whose scores do not depend on which x goes with "
            "which y. Train it first, or let `estimate` do it."
        )
    tuning = balanced(past.x[-SCORED_ROWS:], past.y[-SCORED_ROWS:])
    certified = certificate([Block(each, tuning) for each in scores], level=level, seed=seed)
    p_value = permutation_p(scores, permutations=permutations, seed=seed)
    return Guarantee(certified, p_value, level, len(order))


def _sinkhorn_normalized(
    critic: Callable[[Tensor, Tensor], Tensor], x: np.ndarray, y: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the critic plus functions of x alone and of y alone that make e^f average to one.

    Both functions are fitted alternately (Sinkhorn iterations) to rows (k, p) and (k, q) that the
    critic has seen. A critic trained by InfoNCE is identified only up to one such function; the
    certificate depends on it.
    """
    known, log_k = _scores(critic, x, y), np.log(len(x))
    left, right = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(SINKHORN_STEPS):
        left = log_k - logsumexp(known + right, axis=1)
        right = log_k - logsumexp(known + left[:, None], axis=0)

    def scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        own_a = log_k - logsumexp(_scores(critic, a, y) + right, axis=1)
        own_b = log_k - logsumexp(_scores(critic, x, b) + left[:, None], axis=0)
        return np.asarray(_scores(critic, a, b) + own_a[:, None] + own_b)

    return scores


def _scores(critic: Callable[[Tensor, Tensor], Tensor], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the critic's scores (n, m) in float64, in evaluation mode and without gradients."""
    sides = [torch.from_numpy(side).float() for side in (x, y)]
    modes: dict[torch.nn.Module, bool] = {}
    if isinstance(critic, torch.nn.Module):
        place = next((p.device for p in critic.parameters()), torch.device("cpu"))
        dtype = torch.float64 if contract.is_double(critic) else torch.float32
        sides = [side.to(place, dtype) for side in sides]
        modes = {module: module.training for module in critic.modules()}
        critic.eval()
    try:
        with torch.no_grad(), torch_state.seeded(0):  # a critic may draw random numbers
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
    return np.asarray(scores.clip(-SCORE_LIMIT, SCORE_LIMIT))


def _count_overlap(pair: data.Pair, past: data.Pair) -> int:
    """Count rows that occur in both samples; 0 for discrete data, whose rows repeat by chance."""
    rows, old = (np.concatenate([each.x, each.y], axis=1) for each in (pair, past))
    if rows.shape[1] != old.shape[1]:
        raise InputError(
            f"Expected as many columns in seen as in x and y; got {old.shape[1]} and "
            f"{rows.shape[1]}."
        )
    before = {row.tobytes() for row in old}
    return 0 if len(before) < 0.9 * len(old) else sum(row.tobytes() in before for row in rows)
