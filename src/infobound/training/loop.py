"""The training loop: fits a critic to training rows and returns it with its history.

The loop does not depend on folds, transforms or files: rows come in as tensors, and everything is
written through a `run_directory.Run`. The whole state (weights, best weights, optimiser, batch
generator, step, moving average, history) is in one checkpoint, so a resumed fit is bitwise equal to
an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from infobound._system import distributed, torch_state
from infobound._system.optimisers import AdamW
from infobound.bounds import tiled
from infobound.bounds.variational import Bound, moving_log_average
from infobound.config import Config
from infobound.critics import contract
from infobound.errors import InputError
from infobound.training import checkpoints
from infobound.training.checkpoints import State
from infobound.training.run_directory import Run
from infobound.training.separable_step import SeparableStep

__all__ = [
    "LOG_COLUMNS",
    "Fit",
    "Hooks",
    "Interrupted",
    "Progress",
    "Rows",
    "device",
    "fit",
    "values",
]

Rows = tuple[Tensor, Tensor]
MASKS = 1_000_003  # difference of the ranks' dropout seeds, of which only the lower 32 bits count
ASKED = 10  # iterations after which ranks ask each other whether to stop
TRIAL = 1  # evaluations within which a critic must improve before it clearly exceeds its rival
RECENT = 2  # evaluations that show its pace
PACE = 20  # evaluations within which, at that pace, it must be expected to reach its rival
# Standard errors that are clear; a critic that gains less gets no weight (`selection`)
CLEAR_GAIN = 1.0
THREADED_WORK = 1 << 25  # multiplications in a step from which several threads are faster
CUDA_WORK = 1 << 23  # numbers times width in the hidden layers of a batch from which CUDA is faster
LOG_COLUMNS = ("iteration", "loss", "train", "validation")


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; with a run directory, the state is in its checkpoint."""


@dataclass(frozen=True)
class Progress:
    """The state of a fit after an evaluation, as a progress bar shows it.

    Attributes:
        name: the name of the fit.
        iteration: the number of steps taken.
        n_iters: the largest number of steps.
        train: the bound on training rows, in nats.
        validation: the bound on validation rows, in nats; nan if there are none.
        ceiling: the largest value of the bound, in nats; None if there is no limit.
    """

    name: str
    iteration: int
    n_iters: int
    train: float
    validation: float
    ceiling: float | None


@dataclass(frozen=True)
class Hooks:
    """Connections of an estimate to the outside while it is computed; each may be None.

    Attributes:
        run: the run to which checkpoints and metrics are written.
        on_progress: called after each evaluation.
        should_stop: called between iterations; if it returns True, training stops.
    """

    run: Run | None = None
    on_progress: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Fit:
    """A fitted critic and its training history.

    Attributes:
        critic: the critic.
        history: maps each of `LOG_COLUMNS` to an array (T,), in nats; nan where there is none.
        chosen: the iteration whose weights the critic has.
        stopped_early: whether training ended before the last iteration.
        count: the number of rows scored together in an evaluation.
        ceiling: the largest value of the bound in the history, in nats; None if there is no limit.
    """

    critic: nn.Module
    history: Mapping[str, np.ndarray]
    chosen: int
    stopped_early: bool
    count: int
    ceiling: float | None


def device(config: Config, module: nn.Module | None = None) -> torch.device:
    """Return the device that `config.device` names.

    "auto" is CUDA, where there is one, if it trains the critic faster than a processor: the user's
    own modules, joint critics, and others if a step has much to compute. In a step of the default
    critic, starting the kernels takes longer than computing it (docs/performance.md, "CUDA").

    Args:
        config: the settings.
        module: the user's own critic.

    Raises:
        InputError: If CUDA is requested and not available.

    Example:
        >>> device(Config(device="cpu"))
        device(type='cpu')
    """
    found = torch.cuda.is_available()
    if config.device == "cuda" and not found:
        raise InputError(
            "Expected a CUDA device; PyTorch finds none. Use --device cpu, or auto, or install "
            "PyTorch with CUDA."
        )
    work = config.batch_size * config.hidden_dim**2
    gains = module is not None or config.critic == "joint" or work >= CUDA_WORK
    wanted = config.device == "cuda" or (config.device == "auto" and gains)
    return torch.device("cuda" if found and wanted else "cpu")


def values(
    critic: nn.Module,
    bound: Bound,
    rows: Rows,
    limit: int,
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Evaluate the bound over all pairs of the first rows, in evaluation mode.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        bound: the bound.
        rows: x (n, p) and y (n, q).
        limit: the number of rows to use.
        weights: tensors that replace those of the critic, by name.

    Returns:
        The values (n,) of the rows, whose mean is the bound, in nats.
    """
    critic.eval()
    tensors = {f"critic.{name}": tensor for name, tensor in (weights or {}).items()}
    with torch.no_grad():
        pair = (rows[0][:limit], rows[1][:limit])
        found: Tensor = functional_call(_Values(critic, bound), tensors, pair)
        return found


class _Values(nn.Module):
    """A module that evaluates the bound over all pairs, so that weights can be replaced."""

    def __init__(self, critic: nn.Module, bound: Bound) -> None:
        super().__init__()
        self.critic, self.bound = critic, bound

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return tiled.values(self.critic, self.bound, x, y)


def fit(
    critic: nn.Module,
    bound: Bound,
    train: Rows,
    validation: Rows | None,
    config: Config,
    *,
    seed: int,
    name: str = "fit",
    run: Run | None = None,
    watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    rival: Tensor | None = None,
) -> Fit:
    """Maximise the objective of a bound over the parameters of a critic, in place.

    Iteration t of the history is the state after t steps. With `config.patience`, the weights with
    the best validation value are restored at the end; otherwise the last weights are kept.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m). Its parameters that require gradients
            are trained.
        bound: the bound that is trained and evaluated, with its settings fixed.
        train: x (n, p) and y (n, q), on the critic's device.
        validation: rows that are not trained on; they stop the training and choose the weights.
        config: the settings.
        seed: seed of the batches.
        name: the name of the checkpoint in the run.
        run: where checkpoints and TensorBoard events are written; an existing checkpoint is
            continued.
        watch: called after each evaluation.
        stop: called between iterations; if it returns True, the state is saved and `Interrupted` is
            raised.
        rival: (n,), the values of the validation rows with a critic that this one must exceed, from
            `values`. Until it clearly does, it must improve within `TRIAL` evaluations instead of
            `config.patience`, and be on the way to its rival (`PACE`).

    Returns:
        The fitted critic and its history.

    Raises:
        InputError: If scores are not finite or have a wrong shape, or no parameter requires
            gradients.
        Interrupted: If `stop` returned True.

    Example:
        >>> from infobound.bounds import variational as bounds
        >>> from infobound.critics import networks as critics
        >>> x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
        >>> settings = Config(n_iters=5, eval_every=5)
        >>> done = fit(critics.Bilinear(1, 1), bounds.BOUNDS["infonce"], (x, x), None, settings,
        ...            seed=0)
        >>> done.history["iteration"].tolist()
        [0.0, 5.0]
    """
    if config.patience and validation is None:
        config = config.with_(patience=0)
    parameters: list[Tensor] = [p for p in critic.parameters() if p.requires_grad]
    if not parameters:
        raise InputError(
            "Expected a critic with parameters that require gradients; got one without any. "
            "Unfreeze some, or evaluate it: BOUNDS['infonce'].estimate(critic(x, y))."
        )
    optimiser = AdamW(
        parameters, lr=config.lr, betas=(config.b1, config.b2), weight_decay=config.weight_decay
    )
    generator = torch.Generator().manual_seed(seed)
    state = State(log_average=math.log(config.ma_ef))
    if config.ema:
        named = critic.named_parameters()
        state.average = {k: v.detach().clone() for k, v in named if v.requires_grad}
    writer = None
    if run is not None:
        checkpoints.load(run, name, critic, optimiser, generator, state, config)
        writer = run.tensorboard(name, purge_step=state.step)
        if state.step == 0 and writer is not None:
            critic.eval()
            writer.graph(critic, (train[0][:2], train[1][:2]))
    checkpoints.agree(critic, state, run)
    count = _size(train, validation, config)
    ceiling = None if bound.ceiling is None else float(bound.ceiling(count))

    quick = SeparableStep.of(critic, bound, train)
    small = _is_small(critic, parameters, min(config.batch_size, len(train[0])))
    with torch_state.single_thread() if small else contextlib.nullcontext():
        while not state.finished:
            if state.step % config.eval_every == 0 or state.step == config.n_iters:
                _evaluate(critic, bound, train, validation, config, state, rival)
                _announce(state, config, name, ceiling, watch, writer)
                patience = config.patience if state.clear else min(config.patience, TRIAL)
                state.finished = state.step >= config.n_iters or (
                    config.patience > 0
                    and (state.evaluations_since_best() >= patience or _is_slow(state, rival))
                )
            asked = state.step % ASKED == 0 or distributed.ranks()[1] == 1
            halt = asked and distributed.any_rank(stop is not None and stop())
            due = state.step % config.checkpoint_every == 0 and state.step > 0
            if run is not None and (state.finished or halt or due):
                if writer is not None:  # a resumed fit does not write earlier events again
                    writer.flush()
                checkpoints.save(run, name, critic, optimiser, generator, state)
            if state.finished or halt:
                break
            _step(critic, bound, train, config, parameters, optimiser, generator, state, quick)
    if writer is not None:
        writer.close()
    if not state.finished:
        raise Interrupted
    critic.load_state_dict(state.best_weights if config.patience else _weights(critic, state))
    history = np.array(state.history, dtype=np.float64).reshape(-1, len(LOG_COLUMNS))
    return Fit(
        critic=critic,
        history={column: history[:, k].copy() for k, column in enumerate(LOG_COLUMNS)},
        chosen=state.chosen if config.patience else state.step,
        stopped_early=state.step < config.n_iters,
        count=count,
        ceiling=ceiling,
    )


def _is_small(critic: nn.Module, parameters: Sequence[Tensor], batch: int) -> bool:
    """Return whether a step of a built-in critic has too little to compute for several threads."""
    work = batch * sum(p.numel() for p in parameters) + (batch * contract.width(critic)) ** 2
    return work < THREADED_WORK and not contract.is_random(critic)


def _step(
    critic: nn.Module,
    bound: Bound,
    train: Rows,
    config: Config,
    parameters: list[Tensor],
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
    quick: SeparableStep | None = None,
) -> None:
    """Draw a batch and take one step of the optimiser."""
    place = train[0].device
    rows = _batch(len(train[0]), config, generator).to(place)
    for group in optimiser.param_groups:
        group["lr"] = config.lr * _rate(state.step, config)
    shared = tiled.is_shared(critic, len(rows), len(rows))
    if quick is not None and not shared:
        state.loss = -quick(rows)
    else:
        batch = train[0][rows], train[1][rows]
        state.loss = _differentiate(critic, bound, batch, config, optimiser, generator, state)
    if shared:
        distributed.sum_gradients(parameters)
    optimiser.step()
    state.step += 1
    if config.ema:  # at first a plain mean of all weights so far, so that the start weighs little
        rate = max(1 - config.ema, 1 / (state.step + 1))
        with torch.no_grad():
            torch._foreach_lerp_(list(state.average.values()), parameters, rate)


def _differentiate(
    critic: nn.Module,
    bound: Bound,
    batch: Rows,
    config: Config,
    optimiser: AdamW,
    generator: torch.Generator,
    state: State,
) -> float:
    """Set the gradients for a batch, of this rank's pairs if they are shared; return the loss."""
    critic.train()
    # Ranks with different rows must draw different dropout masks.
    shared = tiled.is_shared(critic, len(batch[0]), len(batch[1]))
    other = MASKS * distributed.ranks()[0] if shared else 0
    with tiled.seeded(critic, generator.initial_seed() + state.step + other):
        found = tiled.all_pairs(critic, *batch, bound.objective_extras)
    average = None
    if bound.average is not None:
        with torch.no_grad():
            previous = found.rows.new_tensor(state.log_average)
            average = moving_log_average(previous, bound.average(found), config.ma_rate)
        state.log_average = float(average)
    objective = bound.objective_from_sums(found, average)
    optimiser.zero_grad()
    with tiled.undrawn(critic):
        (-objective).backward()
    return -float(objective.detach())


def _batch(n: int, config: Config, generator: torch.Generator) -> Tensor:
    """Draw the row indices of a batch from n rows.

    All orders are equally likely. If repeats are rare, indices are redrawn until there are none,
    because shuffling n rows for a small batch would be slow.
    """
    size = min(config.batch_size, n)
    if not config.replace and size**2 > n:
        return torch.randperm(n, generator=generator)[:size]
    while True:
        rows = torch.randint(n, (size,), generator=generator)
        if config.replace or len(rows.unique()) == size:
            return rows


def _weights(critic: nn.Module, state: State) -> dict[str, Tensor]:
    """Return the tensors that are evaluated and kept: moving averages where there are any."""
    return {**critic.state_dict(), **state.average}


def _rate(step: int, config: Config) -> float:
    """Return the factor of the learning rate: 1, or half a cosine from 1 to 0 over n_iters."""
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * step / config.n_iters))


def _size(train: Rows, validation: Rows | None, config: Config) -> int:
    """Return the number of rows per evaluation, the same for both, so that ceilings are equal."""
    return min(config.eval_rows, *(len(rows[0]) for rows in (train, validation) if rows))


def _evaluate(
    critic: nn.Module,
    bound: Bound,
    train: Rows,
    validation: Rows | None,
    config: Config,
    state: State,
    rival: Tensor | None,
) -> None:
    """Append a record to the history and keep a copy of the best weights."""
    if state.history and state.history[-1][0] == state.step:  # resumed right after an evaluation
        return
    size = _size(train, validation, config)
    distributed.broadcast_from_first(critic.buffers())  # running averages differ between ranks
    weights = _weights(critic, state)
    on_validation, clear = math.nan, True
    on_train = float(values(critic, bound, train, size, weights).mean())
    if validation is not None:
        found = values(critic, bound, validation, size, weights)
        on_validation, clear = float(found.mean()), rival is None or _exceeds(found, rival[:size])
    agreed = torch.tensor([on_train, on_validation, clear], dtype=torch.float64)
    distributed.broadcast_from_first([agreed])  # all ranks must decide alike when to stop
    on_train, on_validation, clear = agreed.tolist()
    if not math.isfinite(on_train):
        raise InputError(
            f"Expected finite scores; the {bound.title} bound became {on_train} at iteration "
            f"{state.step:,}. Lower --lr, clip the scores with --gamma 20, or choose another bound."
        )
    state.history.append((float(state.step), state.loss, on_train, on_validation))
    if config.patience and on_validation > state.best:
        state.best, state.chosen, state.clear = on_validation, state.step, bool(clear)
        state.best_weights = {k: v.detach().clone() for k, v in weights.items()}


def _is_slow(state: State, rival: Tensor | None) -> bool:
    """Return whether a critic, at its recent pace, will not reach its rival soon."""
    if rival is None or len(state.history) <= RECENT:
        return False
    first, last = (state.history[k][-1] for k in (-1 - RECENT, -1))
    return float(rival.mean()) - state.best > PACE * max(0.0, last - first) / RECENT


def _exceeds(found: Tensor, rival: Tensor) -> bool:
    """Return whether values of rows exceed others by more than `CLEAR_GAIN` standard errors."""
    gain = found - rival
    return float(gain.mean()) > CLEAR_GAIN * float(gain.std()) / math.sqrt(len(gain))


def _announce(
    state: State,
    config: Config,
    name: str,
    ceiling: float | None,
    watch: Callable[[Progress], None] | None,
    writer: Any,
) -> None:
    step, loss, train, validation = state.history[-1]
    if writer is not None:
        values = {"mi_list": train, "loss": loss, "mi_held_out": validation}
        writer.scalars(int(step), **{k: v for k, v in values.items() if not math.isnan(v)})
    if watch is not None:
        watch(Progress(name, int(step), config.n_iters, train, validation, ceiling))
