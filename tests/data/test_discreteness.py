"""The entropy of few values."""

import math

import numpy as np
import pytest
from scipy import stats

from infobound import data


def test_the_entropy_of_few_values_is_unbiased_and_its_error_what_it_varies_by():
    shares = np.random.default_rng(0).dirichlet(np.ones(12))
    draws = [np.random.default_rng(seed).choice(12, size=(300, 1), p=shares) for seed in range(400)]
    found = [data.entropy(rows) for rows in draws]
    values = np.array([each.value for each in found])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - stats.entropy(shares)) < 3 * error
    observed = [stats.entropy(np.bincount(rows[:, 0])) for rows in draws]
    assert stats.entropy(shares) - np.mean(observed) > 6 * error  # without the correction
    assert values.std() == pytest.approx(np.mean([each.error for each in found]), rel=0.15)
