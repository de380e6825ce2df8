"""What bounds say of all pairs, and how it is said to change; run alone or by several ranks."""

import numpy as np
import torch
from bounds.test_tiled import critic, rows
from safetensors.torch import save_file

from infobound._system import distributed
from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS
from infobound.inference.permutation import permutation_p
from infobound.training.loop import Config, fit

KINDS = ("separable", "joint", "module", "base and joint")


class Siamese(torch.nn.Module):
    """One network for both sides, and inner products."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, y):
        return self.net(x) @ self.net(y).T


def gradients(value, tensors):
    """Of all ranks together; each has its own pairs' part."""
    found = torch.autograd.grad(value, tensors, allow_unused=True)
    both = zip(found, tensors, strict=True)
    return [
        distributed.sum_over_ranks(torch.zeros_like(t) if g is None else g.clone()) for g, t in both
    ]


def everything():
    """Tensors by name: values, gradients, terms, scores, a trained critic and a p-value."""
    tiled.SHARED_WORK = 0  # whatever can be shared out, is
    found = {}

    def keep(name, *tensors):
        found.update({f"{name} {k}": t.detach().clone() for k, t in enumerate(tensors)})

    for number, kind in enumerate(KINDS):
        module = critic(kind)
        x, y = (side.requires_grad_() for side in rows())
        keep(f"{kind} scores", tiled.scores(module, x.detach(), y.detach()))
        for k, (name, bound) in enumerate(BOUNDS.items(), start=number):
            tile = (None, (5, 16))[k % 2]  # each bound, and each kind, with both
            sums = tiled.all_pairs(module, x, y, bound.objective_extras, tile=tile)
            average = None if bound.average is None else bound.average(sums)
            value = bound.objective_from_sums(sums, average)
            learnt = [p for p in module.parameters() if p.requires_grad]
            keep(f"{kind} {name} {tile}", value, *gradients(value, [x, y, *learnt]))
            both = [bound, BOUNDS["dv"]]
            positives, terms = tiled.terms(module, both, x.detach(), y.detach())
            keep(f"{kind} {name} terms", positives, *terms)
        settings = Config(n_iters=20, eval_every=5, batch_size=13, eval_rows=23, patience=2)
        sides = tuple(side.detach() for side in rows(31))
        done = fit(module, BOUNDS["infonce"], sides, sides, settings, seed=0)
        keep(f"{kind} trained", *module.state_dict().values(), torch.tensor(done.chosen))
    tiled.SHARED_WORK = 1 << 60  # nothing is: all ranks then drop out alike
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))
    dropping = Siamese(net).double()
    fit(dropping, BOUNDS["infonce"], sides, sides, settings.with_(patience=0), seed=0)
    weights = dropping.state_dict().values()
    keep(
        "dropped out",
        *(distributed.sum_over_ranks(w.clone()) / distributed.ranks()[1] for w in weights),
    )
    blocks = [np.random.default_rng(k).normal(size=(12, 12)) for k in range(4)]
    keep("p-value", torch.tensor(permutation_p(blocks, seed=0), dtype=torch.float64))
    return found


def save(path):
    """Everything that the ranks find together, in a file."""
    torch.set_num_threads(1)
    with distributed.world():
        tensors = everything()
        if distributed.is_first():
            save_file({k: v.contiguous() for k, v in tensors.items()}, path)
