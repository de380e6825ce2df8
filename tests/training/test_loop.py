"""The loop: what it maximises, when it stops, and that resuming changes nothing."""

import functools
import itertools

import numpy as np
import pytest
import torch

from infobound.benchmark import tasks
from infobound.bounds import variational
from infobound.config import Config
from infobound.critics import networks
from infobound.errors import InputError
from infobound.training import checkpoints, loop
from infobound.training.run_directory import Run

SMALL = Config(hidden_dim=16, embedding_dim=4, batch_size=50, n_iters=60, eval_every=10, patience=0)


def sample(n, seed, rho=0.8):
    x, y = tasks.make("gaussian", d=1, rho=rho).sample(n, torch.Generator().manual_seed(seed))
    return x.float(), y.float()


def fitted(config=SMALL, bound="infonce", n=200, **options):
    critic = networks.build(1, 1, config, torch.Generator().manual_seed(0))
    return loop.fit(
        critic, variational.BOUNDS[bound], sample(n, 1), sample(n, 2), config, seed=5, **options
    )


@pytest.mark.parametrize("bound", variational.BOUNDS)
def test_every_bound_trains(bound):
    done = fitted(SMALL.with_(n_iters=100, lr=1e-2, schedule="constant"), bound)
    assert np.isfinite(done.history["train"]).all()
    rows = sample(2000, 3)
    value = loop.values(done.critic, variational.BOUNDS[bound], rows, 2000).mean()
    assert 0.2 < value < 0.8  # the truth is 0.511


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    one, two = fitted(), fitted()
    for column in ("train", "validation"):
        assert np.array_equal(one.history[column], two.history[column])
    critic = networks.build(1, 1, SMALL, torch.Generator().manual_seed(0))
    other = loop.fit(
        critic, variational.BOUNDS["infonce"], sample(200, 1), sample(200, 2), SMALL, seed=6
    )
    assert not np.array_equal(one.history["train"], other.history["train"])


def test_early_stopping_restores_the_best_weights_by_copy():
    config = SMALL.with_(patience=3, n_iters=2000, lr=3e-2, schedule="constant", hidden_dim=64)
    done = fitted(config, n=60)
    best = int(np.nanargmax(done.history["validation"]))
    assert done.stopped_early
    assert done.chosen == done.history["iteration"][best] < done.history["iteration"][-1]
    again = loop.values(done.critic, variational.BOUNDS["infonce"], sample(60, 2), 2500).mean()
    assert again == done.history["validation"][best]


def test_what_is_not_trained_stays_as_it_is():
    critic = networks.build(1, 1, SMALL, torch.Generator().manual_seed(0))
    critic.x.requires_grad_(False)
    before = [p.clone() for p in critic.x.parameters()]
    loop.fit(critic, variational.BOUNDS["infonce"], sample(100, 1), None, SMALL, seed=5)
    assert all(map(torch.equal, before, critic.x.parameters()))
    assert critic.y[-1].bias[-1] != 0


def test_without_patience_the_last_weights_stay():
    done = fitted(SMALL)
    assert done.chosen == 60
    assert not done.stopped_early
    again = loop.values(done.critic, variational.BOUNDS["infonce"], sample(200, 2), 2500).mean()
    assert again == done.history["validation"][-1]


RESUMED = SMALL.with_(checkpoint_every=7, patience=4)
undisturbed = functools.cache(functools.partial(fitted, RESUMED))


@pytest.mark.parametrize("bound", ["infonce", "mine"])
@pytest.mark.parametrize("halt", [1, 10, 25, 59])
def test_resuming_gives_the_same_bits(tmp_path, bound, halt):
    config, whole = RESUMED, undisturbed(bound)
    run = Run.create(tmp_path / "run", record={"kind": "test"})
    ticks = itertools.count()
    with pytest.raises(loop.Interrupted):
        fitted(config, bound, run=run, stop=lambda: next(ticks) >= halt)
    resumed = fitted(config, bound, run=Run.open(tmp_path / "run"))
    for column in loop.LOG_COLUMNS:
        assert np.array_equal(whole.history[column], resumed.history[column], equal_nan=True), (
            column
        )
    assert whole.chosen == resumed.chosen
    ours, theirs = whole.critic.state_dict(), resumed.critic.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_checkpoint_of_another_critic_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", record={"kind": "test"})
    fitted(SMALL, run=run)
    with pytest.raises(InputError, match="checkpoint of this critic"):
        fitted(SMALL.with_(hidden_dim=8), run=run)


def test_scores_of_a_wrong_shape_are_refused():
    class Wrong(torch.nn.Linear):
        def forward(self, x, y):
            return super().forward(x) + y

    with pytest.raises(InputError, match=r"2-D|scores"):
        loop.fit(Wrong(1, 1), variational.BOUNDS["infonce"], sample(50, 1), None, SMALL, seed=0)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cpu"):
        loop.device(Config(device="cuda"))
    assert loop.device(Config(critic="joint")).type == "cpu"


@pytest.mark.parametrize(
    ("settings", "module", "expected"),
    [
        ({}, None, "cpu"),  # starting the kernels takes longer than a step on a processor
        ({"device": "cuda"}, None, "cuda"),
        ({"critic": "joint"}, None, "cuda"),
        ({"critic": "joint", "device": "cpu"}, None, "cpu"),
        ({"batch_size": 1024}, None, "cuda"),
        ({"hidden_dim": 512}, None, "cuda"),
        ({}, torch.nn.Identity(), "cuda"),
    ],
)
def test_cuda_is_taken_where_it_is_faster(monkeypatch, settings, module, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loop.device(Config(**settings), module).type == expected


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("critic", networks.CRITICS)
def test_a_run_holds_the_graph_of_every_critic(tmp_path, critic, activation):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run.create(tmp_path / "run", record={})
    fitted(SMALL.with_(critic=critic, activation=activation, n_iters=10), run=run)
    found = EventAccumulator(str(run.path / "tensorboard" / "fit")).Reload()
    operations = {node.op for node in found.Graph().node}
    assert critic == "bilinear" or f"aten::{activation}" in operations
    assert set(found.Tags()["scalars"]) == {"mi_list", "loss", "mi_held_out"}


@pytest.mark.parametrize("n", [10, 16])  # shuffled; drawn until no row is twice in the batch
def test_every_order_of_a_batch_is_as_likely(n):
    generator = torch.Generator().manual_seed(0)
    config, draws = SMALL.with_(batch_size=4), 12_000
    rows = torch.stack([loop._batch(n, config, generator) for _ in range(draws)])
    counts = torch.bincount(rows[:, 0] * n + rows[:, 3], minlength=n * n).view(n, n)
    assert (counts.diagonal() == 0).all()
    expected = draws / (n * (n - 1))
    chi = float(((counts - expected) ** 2 / expected).sum() - n * expected)
    degrees = n * (n - 1) - 1
    assert abs(chi - degrees) < 4 * (2 * degrees) ** 0.5


def test_training_leaves_no_trace_in_the_global_random_state():
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 8)
    )

    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x, y):
            return self.network(x) @ y.expand(-1, 8).T

    before = torch.get_rng_state()
    loop.fit(Noisy(), variational.BOUNDS["infonce"], sample(50, 1), None, SMALL, seed=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("by", "steps"), [(-1.0, 12), (0.0, 2), (None, 12)])
def test_a_critic_that_does_not_exceed_its_rival_must_improve_soon(by, steps):
    """One that learns nothing: its values stay those at the start, zero."""
    critic = networks.Bilinear(1, 1)
    validation = sample(60, 2)
    rival = None if by is None else by + torch.zeros(60)
    config = SMALL.with_(lr=1e-12, patience=6, eval_every=2, n_iters=100)
    bound = variational.BOUNDS["infonce"]
    done = loop.fit(critic, bound, sample(60, 1), validation, config, seed=0, rival=rival)
    assert done.history["iteration"][-1] == steps


@pytest.mark.parametrize(
    ("values", "slow"),
    [
        ([0.0, 0.1], False),  # too early to tell
        ([0.0, 0.1, 0.2], False),  # 0.1 an evaluation, so it would need 8
        ([0.0, 0.7, 0.72, 0.74], False),  # 0.02 an evaluation: 13
        ([0.0, 0.7, 0.71, 0.72], True),  # 0.01 an evaluation: 28
        ([0.0, 0.7, 0.6, 0.5], True),
        ([0.0, 1.1, 1.1, 1.1], False),  # it has passed its rival
    ],
)
def test_a_critic_that_will_not_reach_its_rival_soon_is_slow(values, slow):
    history = [(2.0 * k, 0.0, 0.0, value) for k, value in enumerate(values)]
    state = checkpoints.State(best=max(values), history=history)
    assert loop._is_slow(state, torch.ones(50)) == slow
    assert not loop._is_slow(state, None)


def test_small_steps_take_one_thread_and_give_the_same_bits_with_any_number(monkeypatch):
    seen, step = [], loop._step

    def spy(*arguments):
        seen.append(torch.get_num_threads())
        step(*arguments)

    monkeypatch.setattr(loop, "_step", spy)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(fitted().critic.state_dict())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    large = networks.build(
        1, 1, SMALL.with_(critic="joint", hidden_dim=64), torch.Generator().manual_seed(0)
    )
    assert not loop._is_small(large, [*large.parameters()], 256)
    assert not loop._is_small(torch.nn.Identity(), [], 1)
