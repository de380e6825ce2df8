import numpy as np
import pytest

from infobound.inference.conditional_independence import (
    Neighbours,
    Scores,
    local_permutation_p,
    neighbourhoods,
    projection_p,
    strata,
)


def both(x, y, z, seed=0, permutations=199):
    groups = neighbourhoods(z)
    near = Neighbours.of(x, y, z, groups, exact=False)
    return local_permutation_p(near, [], permutations=permutations, seed=seed), projection_p(
        x, y, []
    )


def test_neighbourhoods_are_small_and_cover_all_rows():
    z = np.random.default_rng(0).normal(size=(203, 3))
    groups = neighbourhoods(z, size=8)
    counts = np.bincount(groups)
    assert counts.sum() == 203
    assert 8 <= counts.min() <= counts.max() < 16
    spread = np.mean([z[groups == k].std(axis=0).max() for k in range(len(counts))])
    assert spread < 0.8 * z.std()


def test_the_size_is_that_of_the_level_if_z_is_a_common_cause():
    rejected = np.zeros(2)
    runs = 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z, u, v = rng.normal(size=(3, 120, 1))
        rejected += np.array(both(u, v + 0.1 * z, z, seed)) <= 0.05
    assert (rejected <= runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)).all()


def test_shapes_that_z_moves_are_compared_within_its_neighbourhoods():
    """Scales that both depend on z: a global permutation rejects, the local one does not."""
    rejected = np.zeros(2)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        z, u, v = rng.normal(size=(3, 300, 1))
        x, y = np.exp(z) * u, np.exp(z) * v
        near = Neighbours.of(x, y, z, neighbourhoods(z, size=4), exact=False)
        everywhere = Neighbours.of(x, y, z, np.zeros(300, dtype=int), exact=False)
        values = [
            local_permutation_p(n, [], permutations=99, seed=seed) for n in (near, everywhere)
        ]
        rejected += np.array(values) <= 0.05
    assert rejected[0] <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)
    assert rejected[1] >= 30


def test_within_strata_the_test_is_exact_with_few_rows_and_any_law():
    rejected, runs = 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z = rng.integers(6, size=60)
        x = z[:, None] ** 2 + rng.standard_cauchy(size=(60, 1))
        y = np.exp(z)[:, None] * rng.exponential(size=(60, 1))
        near = Neighbours.of(x, y, z[:, None].astype(float), z, exact=True)
        rejected += local_permutation_p(near, [], permutations=99, seed=seed) <= 0.05
    assert rejected <= runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)


@pytest.mark.parametrize("shape", ["line", "square", "sign", "xor"])
def test_dependence_of_several_shapes_is_found(shape):
    rng = np.random.default_rng(0)
    z, x, noise = rng.normal(size=(3, 500, 1))
    y = {"line": x, "square": x**2, "sign": np.sign(z) * x, "xor": np.sign(x * z)}[shape] + noise
    local, projection = both(x, y, z)
    assert local <= 0.02
    assert (projection <= 0.02) == (shape == "line")  # a covariance shows lines only


def test_scores_of_a_critic_show_what_cosines_do_not():
    rng = np.random.default_rng(0)
    z, x, noise = rng.normal(size=(3, 400, 1))
    wave = np.sin(12 * x)
    y = wave + noise
    near = Neighbours.of(x, y, z, neighbourhoods(z), exact=False)
    learned = [Scores(wave @ y.T, neighbourhoods(z))]
    assert local_permutation_p(near, [], permutations=199, seed=0) > 0.05
    assert local_permutation_p(near, learned, permutations=199, seed=0) <= 0.02
    assert projection_p(x, y, learned) < 1e-6 < 0.05 < projection_p(x, y, [])


def test_what_a_critic_says_of_x_or_of_y_alone_does_not_count():
    rng = np.random.default_rng(0)
    z, x, y = rng.normal(size=(3, 300, 1))
    learned = [Scores(np.repeat(9 * x, 300, axis=1) + 9 * y.T, neighbourhoods(z))]
    near = Neighbours.of(x, y, z, neighbourhoods(z), exact=False)
    assert local_permutation_p(near, learned, permutations=99, seed=0) > 0.05
    assert projection_p(x, y, learned) > 0.05


def test_values_are_strata_if_they_repeat():
    ids = strata(np.arange(6.0)[:, None] % 3)
    assert len(set(ids[:3])) == 3
    assert ids[:3].tolist() == ids[3:].tolist()
    assert strata(np.arange(6.0)[:, None]) is None


def test_classes_whose_spreads_both_change_with_z_are_not_taken_for_dependent():
    """As counts do: a large residual of x meets a large one of y more often than after exchange."""
    rejected, runs, plain = np.zeros(2), 100, (np.array([True]), np.array([True]))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z, u, v = rng.normal(size=(3, 150, 1))
        groups = np.zeros(150, dtype=int)
        rows = np.exp(z) * u, np.exp(z) * v, z
        near, not_studentised = (
            Neighbours.of(*rows, groups, exact=False, plain=plain) for _ in range(2)
        )
        near, not_studentised = (
            Neighbours(each.groups, each.left[:, :1], each.right)
            for each in (near, not_studentised)
        )
        ones = np.ones_like(near.left), np.ones_like(near.right)
        not_studentised.__dict__["squares"] = ones
        asked = {"permutations": 99, "seed": seed}
        values = [local_permutation_p(each, [], **asked) for each in (near, not_studentised)]
        rejected += np.array(values) <= 0.05
    assert rejected[0] <= runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)
    assert rejected[1] >= 25


def test_a_correlation_that_errors_may_have_left_is_no_evidence():
    rng = np.random.default_rng(0)
    z, u, v = rng.normal(size=(3, 400, 1))
    x, y = u, 0.3 * u + v
    near = Neighbours.of(x, y, z, neighbourhoods(z), exact=False)
    asked = {"permutations": 199, "seed": 0}
    assert local_permutation_p(near, [], **asked) < 0.01 > projection_p(x, y, [])
    assert local_permutation_p(near, [], doubt=0.3, **asked) > 0.2
    assert projection_p(x, y, [], doubt=0.3) > 0.2
    assert projection_p(x, 10 * u + v, [], doubt=0.3) < 0.01


def test_functions_that_were_fitted_to_all_rows_are_counted():
    """Products of residuals of the same fit vary more than those of exchanged ones."""
    runs, rejected = 150, np.zeros((2, 2))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        functions, x, y = np.split(rng.normal(size=(60, 32)), [30, 31], axis=1)
        x, y = (side - functions @ np.linalg.lstsq(functions, side)[0] for side in (x, y))
        near = Neighbours(np.zeros(60, dtype=int), x, y)
        for k, means in enumerate((30, 0)):
            asked = {"leverages": np.full(len(x), means / len(x))}
            p = local_permutation_p(near, [], permutations=99, seed=seed, **asked)
            rejected[k] += np.array([p, projection_p(x, y, [], **asked)]) <= 0.05
    assert (rejected[0] <= runs * 0.05 + 3.5 * np.sqrt(runs * 0.05 * 0.95)).all()
    assert (rejected[1] >= runs * 0.1).all()


def test_functions_of_z_are_taken_off_what_is_compared():
    """Skewness whose sign follows z, not location or scale, moves the ranks of x and y together."""
    rejected, runs, groups = np.zeros(2), 40, np.zeros(200, dtype=int)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(200, 1))
        x, y = np.sign(z) * (rng.normal(size=(2, 200, 1)) ** 2 - 1)
        known = np.hstack([np.ones((200, 1)), z, np.sign(z)])
        for k, functions in enumerate((known, None)):
            near = Neighbours.of(x, y, z, groups, exact=False, known=functions)
            rejected[k] += local_permutation_p(near, [], permutations=99, seed=seed) <= 0.05
    assert rejected[0] <= runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)
    assert rejected[1] >= 13


def test_dependence_that_changes_along_a_direction_is_found():
    found, runs = np.zeros(2), 15
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        z, x, noise = rng.normal(size=(400, 8)), *rng.normal(size=(2, 400, 1))
        way = np.full((8, 1), 8**-0.5)
        y = 0.4 * np.sign(z @ way) * x + noise
        for k, directions in enumerate((way, way[:, :0])):
            near = Neighbours.of(x, y, z, neighbourhoods(z), exact=False, directions=directions)
            found[k] += local_permutation_p(near, [], permutations=99, seed=seed) <= 0.05
    assert found[0] >= 12
    assert found[1] <= 10


def test_what_z_says_of_y_is_no_dependence_of_x_and_y():
    """Classes keep their values, so y depends on z, and so do the scores of a critic of both."""
    small, plain, found = 0, 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        z, x = rng.normal(size=(2, 200, 1))
        y = (rng.random((200, 1)) < 1 / (1 + np.exp(-3 * z))).astype(float)
        of_z = (1.5 * z) @ (2 * y.T - 1)
        more = 0.1 * x @ y.T + 0.2 * of_z  # z counts too much in it
        rest = y - 1 / (1 + np.exp(-3 * z))
        groups = neighbourhoods(z)
        small += projection_p(x, rest, [Scores(more, groups, given=of_z)]) <= 0.05
        plain += projection_p(x, rest, [Scores(more + of_z, groups)]) <= 0.05
        depends = (rng.random((200, 1)) < 1 / (1 + np.exp(-3 * z - 2 * x))).astype(float)
        of_z = (1.5 * z) @ (2 * depends.T - 1)
        found.append(projection_p(x, rest, [Scores(x @ depends.T, groups, given=of_z)]))
    assert small <= 7  # 3 expected; 7 or fewer with probability 0.98
    assert plain >= 57
    assert np.median(found) < 0.01
