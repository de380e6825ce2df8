import numpy as np
import pytest

from infobound.data.clusters import clusters


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_are_far_apart_are_clusters(seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(6), 50)
    rows = 20 * rng.permutation(6)[group, None] + rng.normal(size=(300, 2))
    found = clusters(rows, 6, seed=seed)
    assert sorted(found.sum(axis=1)) == [50] * 6
    assert all(len(set(found.argmax(axis=0)[group == k])) == 1 for k in range(6))


def test_each_row_is_in_one_cluster_also_where_few_rows_differ():
    found = clusters(np.repeat([[0.0, 1.0], [2.0, 3.0]], 10, axis=0), 5)
    assert found.shape == (5, 20)
    assert (found.sum(axis=0) == 1).all()
    assert (found.sum(axis=1) > 0).sum() == 2


def test_a_draw_does_not_hang_on_the_sign_or_order_of_columns():
    rows = np.random.default_rng(0).normal(size=(400, 3))
    np.testing.assert_array_equal(clusters(rows, 7), clusters(-rows[:, ::-1], 7))
