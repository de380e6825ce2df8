"""The same on a CUDA device: values, bits, checkpoints. Skipped where there is none."""

import numpy as np
import pytest
import torch
from samples_of_bases import sample_for

import infobound
from infobound import estimate
from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS
from infobound.config import Config
from infobound.critics import networks
from infobound.models.closed_forms import BASES
from infobound.training import loop
from infobound.training.run_directory import Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

QUICK = {"n_iters": 100, "permutations": 99, "folds": 2}


def normals(n, d=2, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n, d))
    return x, 0.8 * x + 0.6 * noise


def products(n, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n, 4))
    return x, x[:, :1] * x[:, 1:2] + 0.3 * noise[:, :1]


@pytest.mark.parametrize("sample", [normals, products])
def test_an_estimate_is_that_of_the_processor_up_to_rounding(sample):
    x, y = sample(1200)
    here, there = (estimate(x, y, device=device, **QUICK) for device in ("cpu", "cuda"))
    error = (here.interval[1] - here.interval[0]) / 4
    assert abs(here.mi - there.mi) < error / 5
    assert abs(here.held_out - there.held_out) < error / 5
    assert abs(here.certified - there.certified) < error / 5


def test_the_same_seed_gives_the_same_bits():
    one, other = (estimate(*products(600), device="cuda", **QUICK) for _ in range(2))
    assert one.mi == other.mi
    assert one.held_out == other.held_out


def rows(n, seed):
    x, y = normals(n, 2, seed)
    return torch.from_numpy(x).float().cuda(), torch.from_numpy(y).float().cuda()


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("critic", ["separable", "joint", "bilinear"])
def test_every_bound_trains_every_critic(bound, critic):
    config = Config(n_iters=20, eval_every=10, critic=critic, hidden_dim=32, batch_size=100)
    network = networks.build(2, 2, config, torch.Generator().manual_seed(0)).cuda()
    done = loop.fit(network, BOUNDS[bound], rows(300, 0), rows(200, 1), config, seed=0)
    assert np.isfinite(done.history["train"]).all()
    assert done.history["train"][-1] != done.history["train"][0]


@pytest.mark.parametrize("base", BASES)
def test_every_closed_form_is_that_of_the_processor(base):
    x, y = sample_for(base)
    settings = {**QUICK, "critic": "none", "base": base, "certify": False}
    here, there = (estimate(x, y, device=device, **settings) for device in ("cpu", "cuda"))
    assert here.bases == there.bases
    assert there.mi == pytest.approx(here.mi, abs=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_pairs_in_tiles_are_those_of_the_processor(precision):
    config = Config(critic="joint", activation="elu", hidden_dim=64, precision=precision)
    critic = networks.build(2, 2, config, torch.Generator().manual_seed(0))
    x, y = rows(1500, 2)
    here = tiled.value(critic, BOUNDS["infonce"], x.cpu(), y.cpu())
    there = tiled.value(critic.cuda(), BOUNDS["infonce"], x, y)
    assert there.cpu().item() == pytest.approx(
        here.item(), abs=1e-5 if precision == "float32" else 1e-2
    )


def test_a_fit_is_continued_to_the_same_bits(tmp_path):
    config = Config(n_iters=60, eval_every=10, checkpoint_every=20, batch_size=64)

    def fitted(**options):
        critic = networks.build(2, 2, config, torch.Generator().manual_seed(0)).cuda()
        bound = BOUNDS["infonce"]
        return loop.fit(critic, bound, rows(300, 0), rows(200, 1), config, seed=5, **options)

    whole = fitted()
    run = Run.create(tmp_path / "run", record={"kind": "test"})
    asked = iter(range(100))
    with pytest.raises(loop.Interrupted):
        fitted(run=run, stop=lambda: next(asked) >= 3)
    again = fitted(run=Run.open(run.path))
    np.testing.assert_array_equal(again.history["train"], whole.history["train"])
    for one, other in zip(again.critic.parameters(), whole.critic.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_module_of_the_user_on_the_device_is_estimated_and_certified():
    class Dropped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.y = torch.nn.Linear(2, 16), torch.nn.Linear(2, 16)

        def forward(self, x, y):
            return torch.nn.functional.dropout(self.x(x), 0.1, self.training) @ self.y(y).T

    x, y = normals(800)
    torch.manual_seed(0)
    module = Dropped()
    before = torch.cuda.get_rng_state()
    found = estimate(x, y, module=module, device="cuda", **{**QUICK, "n_iters": 400})
    assert found.held_out > 0.1
    assert torch.equal(torch.cuda.get_rng_state(), before)
    critic = networks.Bilinear(2, 2).cuda()
    with torch.no_grad():
        critic.weight.copy_(torch.eye(2))
    assert infobound.certify(critic, x[400:], y[400:], seen=(x[:400], y[:400])).certified > 0
