"""Checkpoints of a fit: everything that the next iteration depends on, in one file of the run.

Ranks that compute one estimate together (`distributed`) start at the same step with the same
weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from infobound._system import distributed, schemas
from infobound._system.optimisers import AdamW
from infobound.config import Config
from infobound.errors import InputError
from infobound.training.run_directory import Run

__all__ = ["State", "agree", "load", "save"]


@dataclass
class State:
    """The state of a fit besides the weights, the optimiser and the generator.

    Attributes:
        step: the number of steps taken.
        best: the best validation value so far, in nats.
        chosen: the step of that value.
        clear: whether that value clearly exceeds what the critic must exceed.
        finished: whether the training has ended.
        log_average: MINE's moving average, the log of a mean e^f.
        loss: the last loss.
        average: moving averages of the weights, by name.
        best_weights: the weights with the best validation value, by name.
        history: one record per evaluation, as in `loop.LOG_COLUMNS`.
    """

    step: int = 0
    best: float = -math.inf
    chosen: int = 0
    clear: bool = True
    finished: bool = False
    log_average: float = 0.0
    loss: float = math.nan
    average: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[float, ...]] = field(default_factory=list)

    def evaluations_since_best(self) -> int:
        """Return the number of evaluations after the chosen one."""
        return sum(record[0] > self.chosen for record in self.history)


def save(
    run: Run,
    name: str,
    critic: nn.Module,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
) -> None:
    """Write everything that the next iteration depends on to one file of the run."""
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
        "clear": state.clear,
        "finished": state.finished,
        "log_average": state.log_average,
        "loss": state.loss,
    }
    run.save_checkpoint(name, {k: v.detach().cpu() for k, v in tensors.items()}, meta)


@dataclass(frozen=True)
class _Numbers:
    """The values of a checkpoint that are not tensors."""

    step: int
    best: float
    chosen: int
    finished: bool
    log_average: float
    loss: float
    clear: bool = True  # earlier checkpoints lack it


def load(
    run: Run,
    name: str,
    critic: nn.Module,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
    config: Config,
) -> None:
    """Restore the state from the checkpoint of that name, if there is one.

    Raises:
        InputError: If the checkpoint is damaged, or this fit cannot have written it.
    """
    found = run.load_checkpoint(name)
    if found is None:
        return
    tensors, meta = found
    try:
        numbers = schemas.parse(_Numbers, meta)
        _expect_tensors(tensors, _expected(critic, optimiser, generator, state), numbers.step)
        _expect_history(tensors.get("history"), numbers, config)
        _put(tensors, numbers, critic, optimiser, generator, state)
        if config.patience and state.finished and not state.best_weights:
            raise ValueError("the best weights are missing")
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"Expected a checkpoint of this critic in {run.path}; got checkpoint-{name} that does "
            f"not fit ({error}). It belongs to other settings: delete it and what it held is "
            "computed again, start a new run, or use --overwrite."
        ) from error


def _put(
    tensors: Mapping[str, Tensor],
    numbers: _Numbers,
    critic: nn.Module,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
) -> None:
    """Copy a checkpoint to the critic, the optimiser, the generator and the state."""
    here = {k: v.device for k, v in critic.state_dict().items()}

    def part(prefix: str) -> dict[str, Tensor]:
        cut = len(prefix) + 1
        return {k[cut:]: v for k, v in tensors.items() if k.startswith(prefix + ".")}

    critic.load_state_dict(part("weights"))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in part("optimiser").items():
        index, moment = key.split(".", 1)
        moments.setdefault(int(index), {})[moment] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
    generator.set_state(tensors["generator"])
    state.best_weights = {k: v.to(here[k]) for k, v in part("best").items()}
    average = part("average")  # a file does not keep the order of the parameters
    state.average = {k: average[k].to(here[k]) for k in state.average}
    state.history = [tuple(record) for record in tensors["history"].tolist()]
    state.step, state.best = numbers.step, numbers.best
    state.chosen, state.clear, state.finished = numbers.chosen, numbers.clear, numbers.finished
    state.log_average, state.loss = numbers.log_average, numbers.loss


def _expected(
    critic: nn.Module, optimiser: AdamW, generator: torch.Generator, state: State
) -> list[tuple[bool, dict[str, Tensor]]]:
    """List the groups of tensors that a checkpoint has completely or not at all.

    The flag is whether the group is required; the tensors give the expected shapes and dtypes.
    """
    weights = critic.state_dict()
    groups = [
        (True, {f"weights.{k}": v for k, v in weights.items()}),
        (True, {f"average.{k}": v for k, v in state.average.items()}),
        (True, {"generator": generator.get_state()}),
        (False, {f"best.{k}": v for k, v in weights.items()}),
    ]
    for k, tensor in enumerate(optimiser.param_groups[0]["params"]):
        moments = {
            "exp_avg": tensor,
            "exp_avg_sq": tensor,
            "step": torch.zeros((), dtype=torch.float32),
        }
        groups.append((False, {f"optimiser.{k}.{name}": v for name, v in moments.items()}))
    return groups


def _expect_tensors(
    tensors: Mapping[str, Tensor], groups: list[tuple[bool, dict[str, Tensor]]], step: int
) -> None:
    """Check that the tensors have the names, shapes and dtypes of this fit.

    Raises:
        ValueError: If a tensor does not fit; the first one is named.
    """
    left = tensors.keys() - {"history"}
    for needed, group in groups:
        if not needed and not group.keys() & left:
            continue
        for name, here in group.items():
            if name not in left:
                raise ValueError(f"{name} is missing")
            shape, kind = tuple(tensors[name].shape), tensors[name].dtype
            if (shape, kind) != (tuple(here.shape), here.dtype):
                raise ValueError(
                    f"{name}: expected shape {tuple(here.shape)}, {here.dtype}; got {shape}, {kind}"
                )
            if name.startswith("optimiser.") and name.endswith(".step"):
                steps = float(tensors[name])
                if not (0 <= steps <= step and steps.is_integer()):
                    raise ValueError(f"{name}: expected 0 to {step} steps; got {steps}")
        left = left - group.keys()
    if left:
        raise ValueError(f"no tensor is called {min(left)}")


def _expect_history(history: Tensor | None, numbers: _Numbers, config: Config) -> None:
    """Check that training with these settings can have produced the steps, values and choices.

    Raises:
        ValueError: If a value is impossible; the first one is named.
    """
    step = numbers.step
    if not 0 <= step <= config.n_iters:
        raise ValueError(f"step: expected 0 to {config.n_iters}; got {step}")
    evaluated = [*range(0, step + 1, config.eval_every)]
    if step == config.n_iters and step % config.eval_every:
        evaluated.append(step)
    if history is None or (history.dtype, *history.shape) != (torch.float64, len(evaluated), 4):
        raise ValueError(f"history: expected {len(evaluated)} records of four float64 values")
    if history[:, 0].tolist() != evaluated or not history[:, 2].isfinite().all():
        raise ValueError("history: expected finite values at the iterations evaluated")
    validation = dict(zip(evaluated, history[:, 3].tolist(), strict=True))
    chosen = (0, -math.inf)  # before the first choice by validation
    if (numbers.chosen, numbers.best) not in (chosen, *validation.items()):
        raise ValueError(f"chosen: expected an evaluation; got {numbers.chosen}, {numbers.best}")
    if not math.isfinite(numbers.log_average):
        raise ValueError(f"log_average: expected a finite number; got {numbers.log_average}")
    if numbers.finished and step < config.n_iters and not config.patience:
        raise ValueError(f"finished: expected {config.n_iters} steps; got {step}")


def agree(critic: nn.Module, state: State, run: Run | None) -> None:
    """Give all ranks the weights of rank 0, after checking that they start at the same step.

    Raises:
        InputError: If ranks start at different steps.
    """
    step = torch.tensor(float(state.step), dtype=torch.float32)
    distributed.broadcast_from_first([step])
    if distributed.any_rank(int(step) != state.step):
        assert run is not None
        raise InputError(
            f"Expected a run directory that all ranks see; some do not find the checkpoints in "
            f"{run.path}. Put it on storage that all machines share."
        )
    distributed.broadcast_from_first(critic.state_dict().values())
