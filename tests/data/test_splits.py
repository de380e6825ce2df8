"""Folds: every row is tested once, by what did not see it."""

import numpy as np
import pytest

from infobound import data
from infobound.errors import InputError


@pytest.mark.parametrize(("n", "k"), [(40, 4), (43, 4), (1000, 7), (50, 5)])
def test_every_row_is_tested_once_and_never_trained_on_then(n, k):
    folds = data.split(n, k, seed=3)
    assert len(folds) == k
    tests = np.concatenate([test for _, test in folds])
    assert np.array_equal(np.sort(tests), np.arange(n))
    for training, test in folds:
        assert not set(training) & set(test)
        assert len(training) + len(test) == n
    rest, held = data.train_validation_split(folds[0][0], 0.2, seed=1)
    assert np.array_equal(np.sort(np.concatenate([rest, held])), folds[0][0])
    assert not np.array_equal(folds[0][1], data.split(n, k, seed=4)[0][1])


@pytest.mark.parametrize(
    ("n", "k", "message"), [(39, 4, "40 rows for 4"), (60, 9, "90 .*--folds 6")]
)
def test_too_few_rows(n, k, message):
    with pytest.raises(InputError, match=message):
        data.split(n, k, seed=0)
