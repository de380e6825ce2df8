"""Critics keep the score contract, and the split first layer is the concatenated one."""

import pytest
import torch

from infobound.config import Config
from infobound.critics.networks import CRITICS, Composite, InputColumns, Joint, Sum, Term, build
from infobound.errors import InputError
from infobound.models.copulas import GaussianCopula


def rows(n, p, seed):
    return torch.randn(n, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def concatenated(joint, x, y):
    """The notebook's form: every pair concatenated."""
    n, m = len(x), len(y)
    pairs = torch.cat([x[:, None].expand(n, m, -1), y[None].expand(n, m, -1)], dim=-1)
    return joint.rest(joint.first(pairs)).squeeze(-1)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("block", [1, 3, 100], ids=lambda rows: f"{rows}-rows-a-block")
def test_joint_equals_the_concatenated_form_in_value_and_gradient(layers, block, monkeypatch):
    monkeypatch.setattr("infobound.critics.fused_elu.BLOCK_NUMBERS", 16 * 9 * block)
    generator = torch.Generator().manual_seed(0)
    joint = Joint(3, 2, hidden_dim=16, hidden_layers=layers, generator=generator).double()
    x, y = rows(7, 3, 1).requires_grad_(), rows(9, 2, 2).requires_grad_()
    weights = rows(7, 9, 3)
    ours, theirs = joint(x, y), concatenated(joint, x, y)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    by = [x, y, *joint.parameters()]
    gradients = [torch.autograd.grad((scores * weights).sum(), by) for scores in (ours, theirs)]
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-12)


def test_memory_kept_for_the_next_tile_is_not_seen_in_this_one():
    joint = Joint(3, 2, hidden_dim=16, generator=torch.Generator().manual_seed(0))
    x, y = rows(7, 3, 1).float(), rows(9, 2, 2).float()
    with torch.inference_mode():
        first = joint(x, y)
    before = first.clone()
    learnt = joint(x, y)
    joint(2 * x, y).sum().backward()  # writes to the same memory
    with torch.no_grad():
        joint(y.new_ones(5, 3), y)
    assert torch.equal(first, before)
    torch.testing.assert_close(learnt.detach(), before, rtol=0, atol=1e-6)
    own, other = (
        torch.autograd.grad(s.sum(), list(joint.parameters()))
        for s in (learnt, concatenated(joint, x, y))
    )
    for one, two in zip(own, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_joint_in_tiles_equals_joint_at_once(monkeypatch):
    joint = Joint(3, 2, hidden_dim=16, generator=torch.Generator().manual_seed(0)).double()
    x, y = rows(7, 3, 1), rows(9, 2, 2)
    monkeypatch.setattr("infobound.critics.contract.TILE", 16 * 9 * 2)
    with torch.no_grad():
        tiled = joint(x, y)
    torch.testing.assert_close(tiled, joint(x, y).detach(), rtol=0, atol=1e-12)


def test_the_notebooks_starting_weights():
    joint = build(6, 6, Config.notebook(), torch.Generator().manual_seed(0))
    assert isinstance(joint, Joint)
    assert [tuple(p.shape) for p in joint.parameters()] == [
        (100, 12), (100,), (100, 100), (100,), (1, 100), (1,),
    ]  # fmt: skip
    for name, parameter in joint.named_parameters():
        if name.endswith("bias"):
            assert torch.all(parameter == 0)
    middle = joint.rest[1].weight
    assert abs(middle.std().item() - 0.02) < 4 * 0.02 / (2 * middle.numel()) ** 0.5


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 9)])
def test_every_critic_keeps_the_contract(name, n, m):
    config = Config(critic=name, hidden_dim=8)
    critic = build(3, 2, config, torch.Generator().manual_seed(0)).double()
    for parameter in critic.parameters():
        with torch.no_grad():
            parameter.add_(0.1)
    x, y = rows(n, 3, 1), rows(m, 2, 2)
    scores = critic(x, y)
    assert scores.shape == (n, m)
    one = critic(x[2:3], y[3:4])
    torch.testing.assert_close(scores[2:3, 3:4], one)


@pytest.mark.parametrize("name", CRITICS)
def test_the_generator_alone_decides_the_weights(name):
    config = Config(critic=name, hidden_dim=8)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = build(3, 2, config, torch.Generator().manual_seed(4))
    assert torch.equal(state, torch.get_rng_state())
    second = build(3, 2, config, torch.Generator().manual_seed(4))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("activation", ["silu", "elu", "relu", "gelu", "tanh"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_width_depth_and_activation_are_settings(activation, layers):
    config = Config(critic="joint", hidden_dim=5, hidden_layers=layers, activation=activation)
    critic = build(2, 2, config, torch.Generator())
    assert sum(isinstance(m, torch.nn.Linear) for m in critic.modules()) == layers + 1


def test_an_unknown_critic_is_named():
    with pytest.raises(InputError, match=r"separable, joint, bilinear, none; got 'concat'"):
        build(2, 2, Config(critic="concat"), torch.Generator())


def test_a_sum_weights_critics_of_their_own_columns():
    first = GaussianCopula.fit(rows(500, 1, 0), rows(500, 1, 0) + 0.5 * rows(500, 1, 1))
    second = build(2, 1, Config(critic="joint", hidden_dim=4), torch.Generator()).double()
    x, y = rows(6, 3, 2), rows(7, 2, 3)
    reads = InputColumns([0], slice(1)), InputColumns([1, 2], slice(1, None))
    terms = [Term(first, reads[0]), Term(second, reads[1], 0.25)]
    expected = first(x[:, :1], y[:, :1]) + 0.25 * second(x[:, 1:], y[:, 1:])
    torch.testing.assert_close(Sum(terms)(x, y), expected)
    as_base = Composite(Sum(terms), None)
    torch.testing.assert_close(as_base(x, y), expected)
    assert as_base.width == second.width


def test_composite_gives_base_and_network_their_own_columns_and_clips():
    base = GaussianCopula.fit(rows(500, 1, 0), rows(500, 1, 0) + 0.5 * rows(500, 1, 1))
    network = build(2, 1, Config(critic="bilinear"), torch.Generator()).double()
    with torch.no_grad():
        network.weight.fill_(1.0)
    x, y = rows(6, 3, 2), rows(6, 2, 3)
    first, rest = (
        InputColumns(slice(0, 1), slice(0, 1)),
        InputColumns(slice(1, None), slice(1, None)),
    )
    both = Composite(base, network, base_reads=first, network_reads=rest)
    expected = base(x[:, :1], y[:, :1]) + network(x[:, 1:], y[:, 1:])
    torch.testing.assert_close(both(x, y), expected)
    parts = {"base_reads": first, "network_reads": rest}
    clipped = Composite(base, network, **parts, gamma=0.5)(x, y)
    assert clipped.abs().max() == 0.5
    assert not any(p.requires_grad for p in both.base.parameters())
