"""All pairs in tiles: what bounds read, value and gradient, equals the matrix at once."""

import math
import resource

import pytest
import torch
from forks import FORKS
from torch import nn

from infobound.bounds import log_sums, variational
from infobound.bounds import tiled as scoring
from infobound.critics import contract
from infobound.critics import networks as critics
from infobound.errors import InputError
from infobound.models.copulas import ContaminatedCopula, GaussianCopula, StudentCopula
from infobound.models.densities import COARSE, ContingencyTable, MixtureModel

N, M = 23, 31  # no tile divides them
TILES = [(5, 7), (1, 31), (23, 1), (8, 8), (40, 40)]
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-10}


class Whole(nn.Module):
    """A user's critic, which knows nothing of two steps."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x, y):
        n, m = len(x), len(y)
        both = torch.cat([x[:, None].expand(n, m, 2), y[None].expand(n, m, 2)], 2)
        return self.net(both).squeeze(2)


def rows(n=N, m=M, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, m, 2, generator=generator, dtype=torch.float64)
    return x[:n].to(dtype), (0.8 * x + 0.6 * noise).to(dtype)


def critic(kind):
    x, y = rows(200, 200, 1)
    generator = torch.Generator().manual_seed(2)
    networks = {
        "separable": critics.Separable(2, 2, hidden_dim=16, embedding_dim=4, generator=generator),
        "joint": critics.Joint(2, 2, hidden_dim=8, generator=generator),
        "silu": critics.Joint(2, 2, hidden_dim=8, activation="silu", generator=generator),
        "bilinear": critics.Bilinear(2, 2),
    }
    with torch.no_grad():
        for parameter in networks["separable"].parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        networks["bilinear"].weight.fill_(0.4)
    whole = Whole()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    base = GaussianCopula.fit(x, y)
    made = {
        **networks,
        "module": whole,
        "base and joint": critics.Composite(base, networks["joint"], gamma=3.0),
        "base and product": critics.Composite(base, networks["separable"]),
        "directions": critics.Projected(torch.eye(2), torch.eye(2), networks["joint"]),
    }
    return made[kind].double()


LEARNT = ["separable", "joint", "silu", "bilinear", "module", "base and joint"]
LEARNT += ["base and product", "directions"]


def gradients(found, bound, module, sides):
    parameters = [p for p in module.parameters() if p.requires_grad]
    return torch.autograd.grad(bound.objective_from_sums(found), [*sides, *parameters])


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("kind", LEARNT)
def test_tiles_equal_the_matrix_in_value_and_gradient(kind, dtype):
    module, close = critic(kind).to(dtype), CLOSE[dtype]
    for name, tile in zip(["infonce", "nwj", "js", "flo", "alpha"], TILES, strict=True):
        bound = variational.BOUNDS[name]
        extras = bound.objective_extras
        x, y = (side.requires_grad_() for side in rows(dtype=dtype))
        dense = log_sums.of(module(x, y), extras)
        tiled = scoring.all_pairs(module, x, y, extras, tile=tile)
        for one, other in zip(
            (*dense[:3], *dense.others), (*tiled[:3], *tiled.others), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=close, atol=close)
        both = (gradients(found, bound, module, (x, y)) for found in (dense, tiled))
        for one, other in zip(*both, strict=True):
            torch.testing.assert_close(one, other, rtol=close, atol=close)


@pytest.mark.parametrize("name", variational.BOUNDS)
def test_terms_of_tiles_equal_those_of_the_matrix(name, monkeypatch):
    module, bound, (x, y) = critic("base and product"), variational.BOUNDS[name], rows()
    with torch.no_grad():
        scores = module(x, y)
    monkeypatch.setattr(contract, "TILE", 60)
    positives, (terms, dv) = scoring.terms(module, [bound, variational.BOUNDS["dv"]], x, y)
    torch.testing.assert_close(positives, scores.diagonal())
    torch.testing.assert_close(terms, bound.terms(scores), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(dv, variational.BOUNDS["dv"].terms(scores), rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        value = scoring.value(module, bound, x, y)
    torch.testing.assert_close(value, bound.estimate(scores), rtol=1e-10, atol=1e-10)


def test_closed_forms_in_two_steps_and_in_blocks(monkeypatch):
    x, y = rows(400, 400, 3)
    few = [(side > 0).double() for side in (x, y)]
    models = [
        (kind.fit(x, y), x, y) for kind in (GaussianCopula, ContaminatedCopula, StudentCopula)
    ]
    models += [(MixtureModel.fit(x, y, COARSE), x, y), (ContingencyTable.fit(*few), *few)]
    for model, left, right in models:
        whole = model(left[:40], right[:50])
        with monkeypatch.context() as patch:
            patch.setattr(contract, "TILE", 150)
            torch.testing.assert_close(model(left[:40], right[:50]), whole)
        with torch.no_grad():
            found = scoring.all_pairs(model, left[:40], right[:50], tile=(9, 11))
        for one, other in zip(log_sums.of(whole)[:3], found[:3], strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("fill", ["random", "right", "wrong", "constant", "one row high"])
@pytest.mark.parametrize("dtype", CLOSE)
def test_scores_of_ten_thousand(fill, dtype):
    """A bilinear critic of unit vectors has any scores; each tile has its own peaks."""
    eye = torch.eye(N, M, dtype=dtype)
    scores = {
        "random": torch.randn(N, M, generator=torch.Generator().manual_seed(4)).sign() * 1e4,
        "right": 2e4 * eye - 1e4,
        "wrong": 1e4 - 2e4 * eye,
        "constant": torch.full((N, M), 1e4),
        "one row high": 1e4 * (torch.arange(N)[:, None] == 3).expand(N, M),
    }[fill].to(dtype)
    module = critics.Bilinear(N, M)
    module.weight = nn.Parameter(scores)
    sides = torch.eye(N, dtype=dtype), torch.eye(M, dtype=dtype)
    for name in ("infonce", "dv"):
        bound = variational.BOUNDS[name]
        values = [
            bound.objective_from_sums(found)
            for found in (
                log_sums.of(module(*sides)),
                scoring.all_pairs(module, *sides, tile=(4, 6)),
            )
        ]
        slopes = [torch.autograd.grad(value, module.weight)[0] for value in values]
        torch.testing.assert_close(*values, rtol=CLOSE[dtype], atol=CLOSE[dtype])
        torch.testing.assert_close(*slopes, rtol=CLOSE[dtype], atol=CLOSE[dtype])
        assert slopes[1].isfinite().all()


@pytest.mark.parametrize(
    ("activation", "layers"), [("elu", 1), ("elu", 2), ("elu", 3), ("gelu", 2)]
)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_without_gradients_the_joint_critic_gives_the_same(activation, layers, scale):
    joint = critics.Joint(
        2,
        2,
        hidden_dim=20,
        hidden_layers=layers,
        activation=activation,
        generator=torch.Generator().manual_seed(5),
    )
    x, y = (scale * side for side in rows(dtype=torch.float32))
    with torch.no_grad():
        again = joint(x, y)
    torch.testing.assert_close(again, joint(x, y), rtol=1e-5, atol=1e-5)


def test_bfloat16_errs_by_hundredths_and_trains():
    joint = critics.Joint(6, 6, precision="bfloat16", generator=torch.Generator().manual_seed(6))
    exact = critics.Joint(6, 6)
    exact.load_state_dict(joint.state_dict())
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        for other in (joint(x, x), joint.requires_grad_()(x, x)):
            gap = (other - exact(x, x)).abs().max()
            assert 0 < gap < 0.03
    slopes = [
        torch.autograd.grad(j(x, x).diagonal().sum(), j.rest[1].weight)[0] for j in (joint, exact)
    ]
    assert (slopes[0] - slopes[1]).norm() < 0.03 * slopes[1].norm()


def test_the_same_bits_twice():
    module, (x, y) = critic("base and joint"), rows()
    once, again = (scoring.all_pairs(module, x, y, tile=(5, 7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once[:3], again[:3], strict=True))
    slopes = [
        gradients(found, variational.BOUNDS["infonce"], module, ()) for found in (once, again)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


def test_dropout_is_the_same_when_a_tile_is_scored_again():
    module = critic("module")
    module.net.insert(2, nn.Dropout(0.5))
    x, y = rows()
    torch.manual_seed(0)
    value = variational.BOUNDS["dv"].objective_from_sums(
        scoring.all_pairs(module, x, y, tile=(8, 9))
    )
    slope = torch.autograd.grad(value, module.net[-1].bias)[0]
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)  # it cancels
    weight = module.net[-1].weight
    torch.manual_seed(0)
    value = variational.BOUNDS["dv"].objective_from_sums(
        scoring.all_pairs(module, x, y, tile=(8, 9))
    )
    (slope,) = torch.autograd.grad(value, weight)
    step, moved = 1e-6, []
    for sign in (1, -1):
        weight.data[0, 0] += sign * step
        torch.manual_seed(0)
        moved.append(
            variational.BOUNDS["dv"].objective_from_sums(
                scoring.all_pairs(module, x, y, tile=(8, 9))
            )
        )
        weight.data[0, 0] -= sign * step
    assert slope[0, 0] == pytest.approx(float((moved[0] - moved[1]).detach()) / 2 / step, rel=1e-5)


def memory_of_a_step(n, path):
    """MiB that the pairs of n rows take beyond what the process has; into a file."""
    torch.set_num_threads(1)
    x, joint = torch.randn(n, 6), critics.Joint(6, 6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sums = scoring.all_pairs(joint, x, x)
    variational.BOUNDS["infonce"].objective_from_sums(sums).backward()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    path.write_text(str(used / 1024))


def test_a_large_batch_trains_in_little_memory(tmp_path):
    """900 x 900 pairs, whose hidden layers at once would take 1,300 MiB and more."""
    process = FORKS.Process(target=memory_of_a_step, args=(900, tmp_path / "used"))
    process.start()
    process.join(100)
    assert 0 < float((tmp_path / "used").read_text()) < 200


def test_more_rows_of_x_than_of_y_are_refused():
    x, y = rows()
    with pytest.raises(InputError, match=r"^Expected .*; got .*\. "):
        scoring.all_pairs(critic("bilinear"), y, x)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x, y: x.sum(1), r"got \(\d+,\)"),
        (lambda x, y: torch.empty(len(x), len(y), device="meta"), "tensor without values"),
    ],
)
def test_a_critic_that_gives_no_score_of_each_pair_is_refused(given, said):
    class Other(nn.Module):
        def forward(self, x, y):
            return given(x, y)

    with pytest.raises(InputError, match=f"Expected scores of shape .*{said}"):
        scoring.all_pairs(Other(), *rows())


def test_a_million_pairs_of_no_dependence_show_log_counts():
    x = torch.zeros(1000, 1)
    with torch.no_grad():
        found = scoring.all_pairs(critics.Bilinear(1, 1), x, x)
    assert found.rows[7].item() == pytest.approx(math.log(999), abs=1e-5)
    assert found.columns[7].item() == pytest.approx(math.log(999), abs=1e-5)
