"""Selection of critics: what networks start from, and which end soon."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infobound import data, estimate
from infobound.benchmark import tasks
from infobound.config import Config
from infobound.estimation import selection
from infobound.models import projections, unwinding
from infobound.models.closed_forms import BASES
from infobound.training import loop


def trained(x, y):
    config = Config(base="gaussian,mixture")
    job = selection.Job(data.as_pair(x, y), config, selection.configure_bound(config))
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
    job = selection.Job(pair, config, selection.configure_bound(config), module=Slow(), hooks=hooks)
    selection.fit_critic(job, np.arange(400), name="f", seeds=[1, 2, 3])
    values = [progress.validation for progress in seen[:3]]
    assert seen[-1].iteration >= 100
    assert max(values) < 0  # so the rule would have ended it


def test_bases_that_are_about_as_good_share_the_weight_and_the_same_model_counts_once():
    shares = selection._shares
    assert shares({}) == []
    assert shares({"gaussian": 0.5}) == [("gaussian", 1.0)]
    assert shares({"gaussian": 0.5, "unwound": 0.5, "student": 0.4}) == [("gaussian", 1.0)]
    tied = dict(shares({"gaussian": 0.5, "student": 0.5 - selection.TIED / 2}))
    assert tied == pytest.approx({"gaussian": 2 / 3, "student": 1 / 3})


def test_rounding_moves_no_share_by_more_than_its_size():
    """The order of two bases within rounding decides almost nothing."""
    one = dict(selection._shares({"gaussian": 0.5, "student": 0.5 - 1e-8}))
    other = dict(selection._shares({"student": 0.5, "gaussian": 0.5 - 1e-8}))
    assert one == pytest.approx(other, abs=1e-3)
    for gap in (selection.TIED * (1 - 1e-3), selection.TIED * (1 + 1e-3)):
        assert dict(selection._shares({"a": 0.5, "b": 0.5 - gap}))["a"] > 0.99


def test_an_estimate_averages_bases_that_are_about_as_good(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    y = 0.7 * x + 0.7 * rng.normal(size=(600, 2))
    bare = {"critic": "none", "certify": False}
    alone = [estimate(x, y, base=name, **bare).mi for name in ("gaussian", "student")]
    monkeypatch.setattr(selection, "TIED", 1e3)  # all are as good as each other
    both = estimate(x, y, base="gaussian,student", **bare)
    assert both.mi == pytest.approx(np.mean(alone), abs=1e-3)
    assert min(alone) < both.mi < max(alone)


@pytest.mark.parametrize("folded", [True, False])
def test_the_finest_mixture_is_fitted_only_where_the_one_before_it_is_best(monkeypatch, folded):
    fitted, fit = [], selection._Inputs._fit
    spy = lambda self, name, *given: fitted.append(name) or fit(self, name, *given)  # noqa: E731
    monkeypatch.setattr(selection._Inputs, "_fit", spy)
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 4000))
    y = np.sin(12 * x) + 0.05 * noise if folded else x + noise
    config = Config(base="gaussian,fine_mixture,finest_mixture", critic="none")
    job = selection.Job(data.as_pair(x, y), config, selection.configure_bound(config))
    selection.fit_critic(job, np.arange(4000), name="f", seeds=[1, 2, 3])
    assert ("finest_mixture" in fitted) is folded


def test_a_model_of_some_directions_is_not_preferred_where_all_are_a_little_correlated(monkeypatch):
    task = dict(tasks.suite("bmi"))["multinormal-dense-25-25-0.5"]
    x, y = task.sample(1000, torch.Generator().manual_seed(51))
    truth = task.mi
    monkeypatch.setattr(projections, "_gains", lambda *_: True)
    found = estimate(x, y, base="gaussian,projected", critic="none", certify=False)
    assert "projected" not in found.bases
    assert found.mi == pytest.approx(truth, abs=0.15)
    # The control: held-out rows alone prefer the model that overfits less and misses more.
    monkeypatch.setitem(BASES, "projected", replace(BASES["projected"], partial=False))
    missed = estimate(x, y, base="gaussian,projected", critic="none", certify=False)
    assert missed.bases.count("projected") > 2
    assert missed.held_out > found.held_out


def test_a_search_that_another_model_outruns_is_ended_and_changes_nothing(monkeypatch):
    ended, fit = [], unwinding.UnwoundMixture.fit

    def watched(x, y, **given):
        try:
            return fit(x, y, **given)
        except unwinding.BehindError:
            ended.append(given["least"])
            raise

    x, noise = np.random.default_rng(1).normal(size=(2, 1000, 4))
    y = 0.8 * x + 0.6 * noise
    y[:, 1:] += np.sin(2 * y[:, :1])  # `curved` undoes it, and rotations add a little
    bare = {"base": "gaussian,curved,unwound", "critic": "none", "certify": False, "folds": 2}
    monkeypatch.setitem(BASES, "unwound", replace(BASES["unwound"], fit=watched))
    found = estimate(x, y, **bare)
    whole = replace(BASES["unwound"], fit=lambda x, y, least: fit(x, y))
    monkeypatch.setitem(BASES, "unwound", whole)
    assert ended
    assert found.bases == ("curved",) * 2
    assert found.mi == estimate(x, y, **bare).mi


def test_a_base_is_added_to_one_of_what_is_given():
    rng = np.random.default_rng(0)
    z, x, e = rng.normal(size=(3, 400, 1))
    y = np.sign(z) * np.exp(0.5 * x + 0.5 * e)
    config = Config(base="gaussian", critic="none")
    bound = selection.configure_bound(config)
    rows = {"training": np.arange(400), "name": "f", "seeds": [1, 2, 3]}
    shapes = selection.fit_critic(selection.Job(data.as_pair(z, y), config, bound), **rows).parts
    job = selection.Job(data.as_pair(np.hstack([x, z]), y), config, bound, given=1)
    assert selection.fit_critic(job, **rows).shared == 0
    found = selection.fit_critic(replace(job, shapes=shapes), **rows)
    assert (found.main.base, found.shared) == ("gaussian+given", 1)
    own = found.main.inputs.critic("gaussian", rows["training"], None, config)
    own = own(*found.main.inputs.rows(rows["training"])).numpy()
    of_z = shapes[0].matrix(rows["training"])
    assert found.matrix(rows["training"]) == pytest.approx(own + of_z, abs=1e-4)
    assert np.abs(own - of_z).max() > 0.1
