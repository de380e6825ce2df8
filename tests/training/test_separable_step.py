"""Tests of the gradient that is written out, against automatic differentiation."""

import math

import pytest
import torch

from infobound.bounds import tiled, variational
from infobound.config import Config
from infobound.critics import networks
from infobound.models.copulas import GaussianCopula, StudentCopula
from infobound.training.separable_step import SeparableStep, infonce_and_slope

INFONCE = variational.BOUNDS["infonce"]


def rows(n=80, d=3):
    x, noise = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
    return x, 0.6 * x + 0.8 * noise


def critic(base, layers=2):
    """A critic on two of three columns, with weights that differ from those at the start."""
    x, y = rows()
    model = None if base is None else base.fit(x[:, :2], y[:, 1:])
    generator = torch.Generator().manual_seed(1)
    settings = Config(hidden_dim=8, hidden_layers=layers, embedding_dim=5)
    network = networks.build(3, 2, settings, generator)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=generator))
    reads = networks.InputColumns(slice(0, 2), slice(1, 3))
    return networks.Composite(
        model,
        network,
        base_reads=reads,
        network_reads=networks.InputColumns(slice(None), slice(0, 2)),
    )


@pytest.mark.parametrize("base", [None, GaussianCopula, StudentCopula])
@pytest.mark.parametrize("layers", [1, 3])
def test_gradients_are_those_of_automatic_differentiation(base, layers):
    both, batch = critic(base, layers), torch.arange(10, 60)
    weights = list(both.network.parameters())
    value = INFONCE.objective_from_sums(tiled.all_pairs(both, *(side[batch] for side in rows())))
    expected = torch.autograd.grad(-value, weights)
    step = SeparableStep.of(both, INFONCE, rows())
    assert step(batch) == pytest.approx(float(value.detach()), rel=1e-5)
    for weight, slope in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0])  # with 100, one peak for all would underflow
def test_infonce_and_its_slope(scale):
    scores = scale * torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
    scores.requires_grad_()
    expected = INFONCE.estimate(scores)
    value, slope = infonce_and_slope(scores.detach())
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(slope, torch.autograd.grad(expected, scores)[0])
    assert math.isclose(float(slope.sum()), 0, abs_tol=1e-6)


def test_other_critics_and_bounds_are_differentiated_automatically():
    both = critic(GaussianCopula)
    assert SeparableStep.of(both.network, INFONCE, rows()) is None
    assert SeparableStep.of(both, variational.BOUNDS["nwj"], rows()) is None
    both.gamma = 5.0
    assert SeparableStep.of(both, INFONCE, rows()) is None
    joint = networks.build(3, 2, Config(critic="joint"), torch.Generator())
    assert SeparableStep.of(networks.Composite(None, joint), INFONCE, rows()) is None
    tanh = networks.build(3, 3, Config(activation="tanh"), torch.Generator())
    assert SeparableStep.of(networks.Composite(None, tanh), INFONCE, rows()) is None
