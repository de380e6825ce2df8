"""Certificate and p-value of an estimate, from critics that were fitted to earlier rows only.

The critics of the folds are trained on each other's test rows, so their values are correlated and
their sum certifies nothing. Here the test rows of the folds form a sequence, and each fold is
scored by a critic that was fitted to the rows before it. The critic of the last fold satisfies this
already. To save time, critics of less than half of the rows are closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infobound._system.memory import some, take
from infobound.critics.cosine import Witness
from infobound.estimation.selection import Ensemble, Job, candidates, fit_critic
from infobound.inference.certificates import Block, certificate
from infobound.inference.permutation import double_center, permutation_p

__all__ = ["guarantees"]

KNOWN = 50_000  # largest number of rows that a cosine critic is fitted to
MOST = 4  # blocks scored per fold: it bounds memory, and the certificate grows only with log n


def guarantees(job: Job, parts: Sequence[np.ndarray], last: Ensemble) -> tuple[float | None, float]:
    """Compute the certified lower bound and the p-value of independence.

    The p-value uses the critic and a cosine critic together, because small samples have too few
    rows for the closed forms of the bank.

    Args:
        job: the rows and settings of the estimate.
        parts: the indices of the test rows of each fold, in sequence.
        last: the critic fitted to all folds but the last.

    Returns:
        The certified lower bound in nats, or None for a series, whose rows are not independent; and
        the p-value.
    """
    config, pair = job.config, job.pair
    tests: list[np.ndarray] = []
    blocks: list[Block] = []
    for k in range(1, len(parts)):
        seeds = [int(s) for s in np.random.SeedSequence([config.seed, k, 1]).generate_state(4)]
        past = np.sort(np.concatenate(parts[:k]))
        fitted = last if k == len(parts) - 1 else _fit_on_past(job, past, k, seeds)
        known = some(past, KNOWN, seed=seeds[2])
        witness = Witness.fit(take(pair.x, known), take(pair.y, known))
        test = parts[k] if config.series else np.random.default_rng(seeds[3]).permutation(parts[k])
        tuning = blocks[-1].scores if blocks else None
        for rows in np.array_split(test, -(-len(test) // config.eval_rows))[:MOST]:
            together = double_center(witness(take(pair.x, rows), take(pair.y, rows)))
            if fitted is not None and fitted.parts:
                scores = fitted.matrix(rows)
                tuning = fitted.rehearsal(seeds[3]) if tuning is None else tuning
                blocks.append(Block(scores, tuning))
                together += double_center(scores)
            tests.append(together)
    certified = None
    if not config.series:
        certified = certificate(blocks, level=config.level, seed=config.seed) if blocks else 0.0
    p_value = permutation_p(
        tests, permutations=config.permutations, seed=config.seed, shifts=config.series
    )
    return certified, p_value


def _fit_on_past(job: Job, past: np.ndarray, k: int, seeds: Sequence[int]) -> Ensemble | None:
    """Fit a critic to past rows, in less time than the critic of a fold takes.

    Only one network is trained, with half of the iterations and half of the patience. With less
    than half of all rows the critic is a closed form, or None if the settings allow none.
    """
    half = {name: -(-getattr(job.config, name) // 2) for name in ("n_iters", "patience")}
    config = job.config.with_(**half)
    if 2 * len(past) < len(job.pair.x) - 1:
        if not candidates(job.config, None):
            return None
        config, job = config.with_(critic="none"), replace(job, module=None)
    job = replace(job, config=config)
    return fit_critic(job, past, name=f"past-{k}", seeds=seeds[:3], tries=1)
