"""Certificate and p-value of an estimate, from critics that were fitted to earlier rows only.

The folds' critics learn from each other's test rows, so their values are correlated, and sums of
them prove nothing. Here the folds' test rows are a sequence, and each is scored by a critic that
was fitted to the rows before it. The last fold's critic is one of these already. To save time,
critics of less than half of the rows are closed forms.
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
