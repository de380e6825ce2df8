"""The optimiser is PyTorch's to the bit, and its compiler stays unimported."""

import subprocess
import sys

import pytest
import torch

from infobound._system.optimisers import AdamW

SETTINGS = {"lr": 0.05, "betas": (0.5, 0.9), "weight_decay": 0.1}


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (3,), (2,)]
    return [torch.randn(s, generator=generator).requires_grad_() for s in shapes]


def descend(tensors, optimiser, steps):
    """Steps on a loss without the last tensor, the learning rate halved at each."""
    for _ in range(steps):
        optimiser.zero_grad()
        (tensors[0].sin().sum() * tensors[1].square().sum()).backward()
        optimiser.param_groups[0]["lr"] *= 0.5
        optimiser.step()


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_the_weights_are_those_of_pytorchs_optimiser_to_the_bit():
    ours, theirs = weights(), weights()
    mine, reference = AdamW(ours, **SETTINGS), torch.optim.AdamW(theirs, fused=True, **SETTINGS)
    for _ in range(5):
        descend(ours, mine, 1)
        descend(theirs, reference, 1)
        assert equal(ours, theirs)
    assert not equal(ours[:2], weights()[:2])
    assert equal(ours[2:], weights()[2:])  # no gradient, so no decay either
    found, expected = mine.state_dict(), reference.state_dict()
    assert found["state"].keys() == expected["state"].keys()
    for k, moments in expected["state"].items():
        assert all(torch.equal(found["state"][k][name], value) for name, value in moments.items())


def fused(*args, **settings):
    return torch.optim.AdamW(*args, fused=True, **settings)


@pytest.mark.parametrize("kind", [AdamW, fused])
def test_a_saved_state_of_either_is_gone_on_from(kind):
    whole, halted = weights(), weights()
    uninterrupted, first = AdamW(whole, **SETTINGS), kind(halted, **SETTINGS)
    descend(whole, uninterrupted, 4)
    descend(halted, first, 2)
    second = AdamW(halted, lr=1.0)
    second.load_state_dict(first.state_dict())
    descend(halted, second, 2)
    assert equal(whole, halted)


def test_an_estimate_imports_no_compiler_and_no_distributions(tmp_path):
    code = """
import sys
import numpy as np
import infobound
x, y = np.random.default_rng(0).normal(size=(2, 60, 5))
infobound.estimate(x, y, n_iters=5, permutations=9)
slow = ("torch._dynamo", "torch._inductor", "sympy", "scipy.stats", "matplotlib", "tensorboard")
print(*(name for name in (*slow, "rich") if name in sys.modules), file=sys.stderr)
np.savez(sys.argv[1], x=x, y=y)
from infobound.cli.main import main
main(["estimate", sys.argv[1], "--x", "x", "--y", "y", "--json", "--estimator", "gaussian"])
print(*(name for name in slow if name in sys.modules), file=sys.stderr)
"""
    command = [sys.executable, "-c", code, tmp_path / "rows.npz"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr.split() == []
