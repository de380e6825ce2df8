"""Selection of critics: what networks start from, and which end soon."""

import numpy as np
import torch

from infobound import data
from infobound.config import Config
from infobound.estimation import selection
from infobound.training import loop


def trained(x, y):
    config = Config(base="gaussian,mixture")
    job = selection.Job(data.as_pair(x, y), config, selection.bind(config))
    return selection.fit_critic(job, np.arange(len(x)), name="f", seeds=[1, 2, 3])


def test_a_network_starts_from_a_mixture():
    rng = np.random.default_rng(0)
    side = rng.choice((-1, 1), size=(1000, 1))
    x, y = (side + 0.2 * rng.normal(size=side.shape) for _ in range(2))
    found = trained(x, y * np.where(side > 0, 1, 1.5))
    assert found.main.base == "mixture"
    assert found.fit.history["validation"][0] > 0.6  # log 2: at the mixture, not at zero


def test_networks_on_a_base_that_is_right_end_soon():
    ends = []
    for seed in range(5):
        x, noise = np.random.default_rng(seed).normal(size=(2, 800, 4))
        ends.append(trained(x, x + noise).fit.history["iteration"][-1])
    assert np.median(ends) <= 100  # by patience alone it would be 150 at least


def test_the_rules_hold_for_built_in_networks_only():
    """A module of the user may take long to start."""

    class Slow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(-0.1))

        def forward(self, x, y):
            return self.scale * x @ y.T

    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 1))
    config = Config(lr=1e-5, patience=4, n_iters=200)
    pair = data.as_pair(x, x + rng.normal(size=x.shape))
    seen = []
    hooks = loop.Hooks(on_progress=lambda progress: seen.append(progress))
    job = selection.Job(pair, config, selection.bind(config), module=Slow(), hooks=hooks)
    selection.fit_critic(job, np.arange(400), name="f", seeds=[1, 2, 3])
    values = [progress.validation for progress in seen[:3]]
    assert seen[-1].iteration >= 100
    assert max(values) < 0  # so the rule would have ended it
