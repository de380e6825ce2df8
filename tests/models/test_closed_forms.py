"""The closed-form models: normalised, equal to the tasks' exact ratios, and unbiased where said."""

import math

import numpy as np
import pytest
import torch
from samples_of_bases import sample_for

from infobound.benchmark import tasks
from infobound.benchmark.distributions.elliptical import Student
from infobound.data import Transform, n_distinct
from infobound.estimation.estimate import estimate
from infobound.estimation.ksg import ksg_terms
from infobound.models.closed_forms import BASES, TABLE_ROWS, Shape
from infobound.models.copulas import (
    ContaminatedCopula,
    GaussianCopula,
    StudentCopula,
    canonical_directions,
)
from infobound.models.densities import (
    COARSE,
    ClasswiseGaussian,
    ContingencyTable,
    MixtureModel,
    clustered,
    em,
)

PLANE = Shape(1500, 2, 1500, 1500, 1)


def draw(task, n, seed):
    return task.sample(n, torch.Generator().manual_seed(seed))


def scores(values):
    return torch.from_numpy(Transform.fit(values.numpy()).normal_scores(values.numpy()))


@pytest.mark.parametrize("name", [n for n in BASES if BASES[n].possible(PLANE)])
def test_under_independence_the_ratio_averages_to_one_and_the_score_to_no_more_than_zero(name):
    # E_q[r] = 1 for a normalised ratio whose margins are the data's; E_q[log r] <= 0 (Jensen).
    x, y = draw(tasks.make("gaussian", d=1, rho=0.6), 1500, 0)
    base = BASES[name]
    if base.inputs == "scores":
        x, y = scores(x), scores(y)
    table = base.fit(x, y)(x, y).double()
    off = table[~torch.eye(len(x), dtype=torch.bool)]
    rows = table.exp().mean(1)
    error = float(rows.std()) / math.sqrt(len(rows))
    assert abs(float(off.exp().mean()) - 1) < 4 * error + 0.02
    assert float(off.mean()) < 0
    assert float(table.diagonal().mean()) == pytest.approx(0.223, abs=0.08)


@pytest.fixture
def turned(monkeypatch):
    """Turn round the eigenvectors and singular vectors, whose signs depend on the device."""

    def apply():
        eigh, svd = torch.linalg.eigh, torch.linalg.svd

        def signs(count):
            return torch.where(torch.arange(count) % 2 == 0, -1.0, 1.0).double()

        def other_eigh(matrix):
            values, vectors = eigh(matrix)
            return values, vectors * signs(vectors.shape[-1])

        def other_svd(matrix, **options):
            u, sizes, vt = svd(matrix, **options)
            k = len(sizes)
            return -u[:, :k] * signs(k), sizes, -vt[:k] * signs(k)[:, None]

        monkeypatch.setattr(torch.linalg, "eigh", other_eigh)
        monkeypatch.setattr(torch.linalg, "svd", other_svd)

    return apply


@pytest.mark.parametrize("name", [n for n in BASES if n not in ("table", "ranks")])
def test_a_closed_form_does_not_depend_on_the_signs_of_eigenvectors(name, turned):
    x, y = (torch.from_numpy(side)[:900, :40].double() for side in sample_for(name))
    if name.startswith("gaussians"):  # products, whose likelihood has many local maxima
        x, noise = torch.randn(2, 1200, 4, generator=torch.Generator().manual_seed(0)).double()
        y = x[:, :1] * x[:, 1:2] + 0.3 * noise[:, :1]
    one = BASES[name].fit(x, y)
    turned()
    other = BASES[name].fit(x, y)
    torch.testing.assert_close(other(x[:99], y[:99]), one(x[:99], y[:99]), atol=1e-4, rtol=0)


def test_canonical_directions_have_the_same_signs(turned):
    x, noise = torch.randn(2, 500, 5, generator=torch.Generator().manual_seed(0)).double()
    one = canonical_directions(x, x[:, :3] + noise[:, :3])
    turned()
    other = canonical_directions(x, x[:, :3] + noise[:, :3])
    for each, found in zip(one, other, strict=True):
        torch.testing.assert_close(found, each)


def test_the_student_copula_is_the_students_own_ratio():
    task = Student(dispersion=torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double(), dim_x=1, df=2)
    x, y = draw(task, 20_000, 0)
    fitted = StudentCopula.fit(scores(x), scores(y))
    assert fitted.degrees == 2.0
    ours = fitted(scores(x)[:300], scores(y)[:300])
    theirs = task.log_ratio(x[:300], y[:300])
    assert float((ours - theirs).abs().mean()) < 0.03
    wrong = Student(dispersion=torch.eye(2).double(), dim_x=1, df=2).log_ratio(x[:300], y[:300])
    assert float((ours - wrong).abs().mean()) > 0.1  # the comparison can tell


def test_the_contaminated_copula_finds_share_and_ratio():
    task = dict(tasks.suite("bmi2"))["mult-sparse-w-inliers-5-5-2-2.0-0.2"]
    x, y = draw(task, 20_000, 0)
    fitted = ContaminatedCopula.fit(x, y)
    assert fitted.share == pytest.approx(0.2, abs=0.02)
    gap = fitted(x[:300], y[:300]) - task.log_ratio(x[:300], y[:300])
    assert float(gap.abs().mean()) < 0.06


@pytest.mark.parametrize(("n", "tabulated", "error"), [(1500, False, 1e-9), (6000, True, 0.005)])
def test_the_mixtures_ratio_is_its_densities(n, tabulated, error):
    from scipy.stats import multivariate_normal as normal

    x, y = draw(tasks.make("mixed_gaussian", d=1, rho=0.9), n, 0)
    model = MixtureModel.fit(x, y, COARSE)
    assert model.is_tabulated == tabulated
    z = torch.cat([x, y], 1)[:100].numpy()
    parts = zip(model.weights.numpy(), model.means.numpy(), model.covariances.numpy(), strict=True)
    joint = left = right = 0.0
    for w, m, c in parts:
        joint = joint + w * normal(m, c).pdf(z)
        left = left + w * normal(m[0], c[0, 0]).pdf(z[:, 0])
        right = right + w * normal(m[1], c[1, 1]).pdf(z[:, 1])
    ours = model(x[:100], y[:100]).diagonal().numpy()
    np.testing.assert_allclose(ours, np.log(joint / left / right), atol=error)


def test_the_mixture_is_that_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    x, y = draw(tasks.make("mixed_gaussian", d=1, rho=0.9), 3000, 0)
    rows = torch.cat([x, y], 1)
    start = clustered(rows, 8)
    ours = em(rows, start)
    groups = [rows[each > 0].numpy() for each in start]
    theirs = GaussianMixture(
        8,
        reg_covar=1e-4,
        weights_init=start.mean(1).numpy(),
        means_init=[group.mean(0) for group in groups],
        precisions_init=[np.linalg.inv(np.cov(g.T, ddof=0) + 1e-4 * np.eye(2)) for g in groups],
    )
    theirs.fit(rows.numpy())
    found = GaussianMixture(8, weights_init=ours[0], means_init=ours[1], max_iter=1)
    found.weights_, found.means_, found.covariances_ = (part.numpy() for part in ours[:3])
    found.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(found.covariances_))
    assert found.score(rows.numpy()) == pytest.approx(theirs.score(rows.numpy()), abs=0.001)


@pytest.mark.parametrize(("n", "error"), [(300, 0.45), (2000, 0.12)])
def test_few_gaussians_find_populations_with_equal_means(n, error):
    task = tasks.make("mixed_gaussian_joint", d=6, rho=0.9)
    x, y = draw(task, n, 0)
    fresh = draw(task, 1000, 1)
    model = MixtureModel.fit_few(x.double(), y.double())
    assert len(model.weights) == 2
    gap = task.log_ratio(*fresh).diagonal().mean() - model(*fresh).diagonal().mean()
    assert 0 < float(gap) < error
    again = MixtureModel.fit_few(*draw(task, n, 2), start=model)
    gap = task.log_ratio(*fresh).diagonal().mean() - again(*fresh).diagonal().mean()
    assert 0 < float(gap) < error


def test_few_gaussians_find_clusters_and_are_one_where_there_is_one():
    generator = torch.Generator().manual_seed(0)
    x, y = draw(tasks.make("gaussian", d=3, rho=0.5), 2000, 0)
    one = MixtureModel.fit_few(x, y)
    assert isinstance(one, GaussianCopula)
    assert isinstance(MixtureModel.fit_few(x, y, start=one), GaussianCopula)
    place = torch.randint(3, (2000, 1), generator=generator) * 5.0
    model = MixtureModel.fit_few(x + place, y + place)
    assert len(model.weights) == 3
    assert sorted(model.means.mean(1).tolist()) == pytest.approx([0, 5, 10], abs=0.3)


def test_a_mixture_of_values_that_are_all_equal_or_few_is_finite():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64).repeat(2000, 1)
    for y in (x, torch.zeros_like(x)):
        found = MixtureModel.fit(x, y, COARSE)(x[:50], y[:50])
        assert found.isfinite().all()


def test_the_tables_ratio_by_hand_and_values_not_seen():
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]]).repeat(50, 1)
    y = torch.tensor([[5.0], [5.0], [6.0], [5.0]]).repeat(50, 1)
    table = ContingencyTable.fit(x, y)
    # n_00 = 100 of 200, p = 1/2, q = 3/4: ratio 4/3, and the least weight of independence, 1/201
    assert float(table(x[:1], y[:1]).exp()) == pytest.approx((200 * 4 / 3 + 1) / 201)
    assert float(table(torch.tensor([[9.0]]), y[:1])) == 0.0


def test_a_table_of_more_cells_than_rows_is_shrunk_as_held_out_rows_ask_for():
    rng = np.random.default_rng(0)
    fresh = []
    for share in (0.0, 0.5):
        x = rng.integers(20, size=1200)
        y = np.where(rng.random(1200) < share, x, rng.integers(20, size=1200))
        x, y = (torch.from_numpy(side).float()[:, None] for side in (x, y))
        table = ContingencyTable.fit(x[:200], y[:200])
        fresh.append(float(table(x[200:], y[200:]).diagonal().mean()))
    truth = 20 * (0.525 / 20) * math.log(0.525 * 20) + 380 * (0.025 / 20) * math.log(0.025 * 20)
    assert -0.02 < fresh[0] <= 0.001  # independent
    assert truth - 0.25 < fresh[1] < truth  # plain frequencies: minus infinity


def test_the_gaussian_copulas_mi_is_unbiased_where_columns_are_many():
    # 10 + 10 columns, 200 rows, 200 samples: the plug-in value is some 0.28 nats too high.
    task = tasks.make("gaussian", d=10, rho=0.3)
    ours, plain = [], []
    for seed in range(200):
        x, y = draw(task, 200, seed)
        fitted = GaussianCopula.fit(x, y)
        ours.append(fitted.mi)
        joint = np.corrcoef(torch.cat([x, y], 1).numpy().T)
        dets = [np.linalg.slogdet(m)[1] for m in (joint[:10, :10], joint[10:, 10:], joint)]
        plain.append(0.5 * (dets[0] + dets[1] - dets[2]))
    error = np.std(ours, ddof=1) / math.sqrt(200)
    assert abs(np.mean(ours) - task.mi) < 4 * error
    assert np.mean(plain) - task.mi > 10 * error  # the negative control


def test_neighbours_are_near_the_truth_and_at_zero():
    rng = np.random.default_rng(0)
    values = {"dependent": [], "independent": []}
    for _ in range(10):
        x, noise = rng.normal(size=(2, 800, 1))
        values["dependent"].append(ksg_terms(x, 0.8 * x + 0.6 * noise).mean())
        values["independent"].append(ksg_terms(x, noise).mean())
    for name, truth in (("dependent", -0.5 * math.log(0.36)), ("independent", 0.0)):
        error = np.std(values[name], ddof=1) / math.sqrt(10)
        assert abs(np.mean(values[name]) - truth) < 4 * error + 0.01


def classes(n, k, seed, spread=1.0):
    """Whole numbers x (n, 1), in no order, and y (n, 1) around a mean for each."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, k, (n, 1))
    y = rng.normal(size=k)[x] * spread + 0.5 * rng.normal(size=(n, 1))
    return torch.from_numpy(x).double(), torch.from_numpy(y)


def exact_mi_of_classes(n, k, seed):
    """Of `classes` by quadrature, nats: the entropy of the mixture less that of the noise."""
    rng = np.random.default_rng(seed)
    rng.integers(0, k, (n, 1))
    means = rng.normal(size=k)
    grid = np.linspace(means.min() - 4, means.max() + 4, 4001)
    density = np.exp(-2 * (grid[:, None] - means) ** 2).mean(1) * math.sqrt(2 / math.pi)
    entropy = -np.trapezoid(density * np.log(np.maximum(density, 1e-300)), grid)
    return entropy - 0.5 * math.log(2 * math.pi * math.e * 0.25)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_gaussian_for_each_value_finds_what_codes_tell(swapped):
    x, y = classes(4000, 40, seed=70)
    held = x[2000:], y[2000:]
    if swapped:
        critic = ClasswiseGaussian.fit(y[:2000], x[:2000])
        found = critic(held[1], held[0]).diagonal()
    else:
        found = ClasswiseGaussian.fit(x[:2000], y[:2000])(*held).diagonal()
    error = float(found.std()) / math.sqrt(2000)
    truth = exact_mi_of_classes(4000, 40, 70)
    assert truth - 4 * error - 0.03 < float(found.mean()) < truth + 4 * error


def test_a_gaussian_for_each_value_is_normalised_and_does_no_harm_where_nothing_is():
    found, normalisers = [], []
    for seed in range(10):
        x, y = classes(400, 40, seed, spread=0.0)  # ten rows a value, and no dependence
        table = ClasswiseGaussian.fit(x[:200], y[:200])(x[200:], y[200:])
        found.append(float(table.diagonal().mean()))
        normalisers.append(float(table.exp().mean()))
    assert -0.03 < np.mean(found) < 0.01
    assert np.mean(normalisers) == pytest.approx(1, abs=0.01)


def test_values_that_were_not_seen_have_ratio_one():
    x, y = classes(400, 4, seed=0)
    critic = ClasswiseGaussian.fit(x, y)
    assert critic(x[:3] + 100, y[:5]).abs().max() == 0


def test_codes_are_read_as_values_where_that_shows_more():
    """Was .68 for .85, and the verdict ok: the numbers were taken for quantities."""
    x, y = classes(2000, 40, seed=70)
    settings = {"critic": "none", "base": "gaussian,student,classwise", "certify": False}
    result = estimate(x, y, **settings)
    assert set(result.bases) == {"classwise"}
    low, high = result.interval
    assert low < exact_mi_of_classes(2000, 40, 70) < high
    ages = x + 40 * y.round(decimals=1)  # whole numbers whose order is what counts
    ordered = estimate(ages, y, **settings)
    assert "classwise" not in ordered.bases


@pytest.mark.parametrize("name", BASES)
def test_the_sample_for_a_base_can_be_fitted_by_it(name):
    # The tests on CUDA use these samples, and are skipped where there is no device.
    x, y = sample_for(name)
    rows = len(x) // 2 * 3 // 4
    levels = [n_distinct(each, repeated=TABLE_ROWS) for each in (x, y)]
    widths = x.shape[1], y.shape[1]
    assert BASES[name].possible(Shape(rows, sum(widths), *levels, min(widths)))
