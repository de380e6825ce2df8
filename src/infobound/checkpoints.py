"""A fit's checkpoint: all that the next iteration depends on, in one file of the run.

Ranks that make one estimate (`distributed`) begin at the same step with the same weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from infobound import distributed
from infobound.errors import InputError
from infobound.optimisers import AdamW
from infobound.runs import Run

__all__ = ["State", "agree", "load", "save"]


@dataclass
class State:
    """What changes from one iteration to the next besides weights and optimiser."""

    step: int = 0
    best: float = -math.inf
    chosen: int = 0
    finished: bool = False
    log_average: float = 0.0
    loss: float = math.nan
    average: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[float, ...]] = field(default_factory=list)

    def evaluations_since_best(self) -> int:
        """Evaluations after the chosen one."""
        return sum(record[0] > self.chosen for record in self.history)


def save(
    run: Run,
    name: str,
    critic: nn.Module,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
) -> None:
    """Everything that the next iteration depends on, in one file."""
    tensors = {f"weights.{k}": v for k, v in critic.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in state.best_weights.items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in moments.items()}
    tensors["generator"] = generator.get_state()
    tensors["history"] = torch.tensor(state.history, dtype=torch.float64)
    meta = {
        "step": state.step,
        "best": state.best,
        "chosen": state.chosen,
        "finished": state.finished,
        "log_average": state.log_average,
        "loss": state.loss,
    }
    run.save_checkpoint(name, {k: v.detach().cpu() for k, v in tensors.items()}, meta)


def load(
    run: Run,
    name: str,
    critic: nn.Module,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
) -> None:
    """Continue from the checkpoint, if there is one."""
    found = run.load_checkpoint(name)
    if found is None:
        return
    tensors, meta = found
    here = {k: v.device for k, v in critic.state_dict().items()}

    def part(prefix: str) -> dict[str, Tensor]:
        cut = len(prefix) + 1
        return {k[cut:]: v for k, v in tensors.items() if k.startswith(prefix + ".")}

    try:
        critic.load_state_dict(part("weights"))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in part("optimiser").items():
            index, moment = key.split(".", 1)
            moments.setdefault(int(index), {})[moment] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        generator.set_state(tensors["generator"])
        state.best_weights = {k: v.to(here[k]) for k, v in part("best").items()}
        average = part("average")  # in the parameters' order, which a file does not keep
        state.average = {k: average[k].to(here[k]) for k in state.average}
        state.history = [tuple(record) for record in tensors["history"].tolist()]
        state.step, state.best = int(meta["step"]), float(meta["best"])
        state.chosen, state.finished = int(meta["chosen"]), bool(meta["finished"])
        state.log_average, state.loss = float(meta["log_average"]), float(meta["loss"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"Expected a checkpoint of this critic in {run.path}; got one that does not fit "
            f"({error}). It belongs to other settings; start a new run, or use --overwrite."
        ) from error


def agree(critic: nn.Module, state: State, run: Run | None) -> None:
    """All ranks begin at the same step, with the first one's weights."""
    step = torch.tensor(float(state.step), dtype=torch.float32)
    distributed.same_as_first([step])
    if distributed.any_says(int(step) != state.step):
        assert run is not None
        raise InputError(
            f"Expected a run directory that all ranks see; some do not find the checkpoints in "
            f"{run.path}. Put it on storage that all machines share."
        )
    distributed.same_as_first(critic.state_dict().values())
