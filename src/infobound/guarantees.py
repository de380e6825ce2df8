"""What can be proved of a pair: the certificate and the p-value, from critics of the past alone.

The folds' critics learn from each other's test rows, so their values hang together; sums of them
prove nothing. Here the folds' test rows stand in a sequence, and each is scored by a critic that
was fitted to those before it: what it says is a bet on rows that nobody has seen. The last fold's
critic is such a one already. To save time, critics of less than half of the rows are closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infobound.certificates import Block, certificate
from infobound.fitting import Fitted, Job, candidates, fit_critic
from infobound.independence import permutation_p
from infobound.witnesses import Witness

__all__ = ["guarantees"]

SAME = 1e-6  # spread of scores, below which they tell no pair from another
MOST = 4  # blocks of a fold that are scored: memory, and the certificate grows with log n


def guarantees(job: Job, parts: Sequence[np.ndarray], last: Fitted) -> tuple[float | None, float]:
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
        witness = Witness.fit(pair.x[past], pair.y[past])
        test = parts[k] if config.series else np.random.default_rng(seeds[3]).permutation(parts[k])
        tuning = blocks[-1].scores if blocks else None
        for rows in np.array_split(test, -(-len(test) // config.eval_rows))[:MOST]:
            together = _alike(witness(pair.x[rows], pair.y[rows]))
            if fitted is not None:
                scores = fitted.matrix(rows)
                tuning = fitted.rehearsal(seeds[3]) if tuning is None else tuning
                blocks.append(Block(scores, tuning))
                together += _alike(scores)
            tests.append(together)
    certified = None
    if not config.series:
        certified = certificate(blocks, level=config.level, seed=config.seed)
    p_value = permutation_p(
        tests, permutations=config.permutations, seed=config.seed, shifts=config.series
    )
    return certified, p_value


def _of_the_past(job: Job, past: np.ndarray, k: int, seeds: Sequence[int]) -> Fitted | None:
    """A critic of past rows, in less time than a fold's: its network has one try, and half of the
    patience. Of less than half of all rows it is a closed form, if one is allowed.
    """
    config = job.config.with_(patience=-(-job.config.patience // 2))
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
