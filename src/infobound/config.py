"""Every setting and its default, once.

The fields of `Config` are the keywords of `infobound.estimate`, the flags of the commands and the
provenance in every result. Nothing here computes anything, and nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infobound._system import arguments
from infobound.errors import InputError

__all__ = ["GROUPS", "Config", "configured"]

GROUPS = {  # of the settings, as `--help` and the documentation show them
    "main": (
        "The settings that are changed most often.",
        (
            *("seed", "level", "estimator", "base", "critic"),
            *("folds", "series", "certify", "pointwise", "device"),
        ),
    ),
    "evaluation": (
        "The bound and the permutation test on held-out rows.",
        (
            *("bound", "eval_rows", "permutations"),
            *("gamma", "clip", "alpha", "ma_rate", "ma_ef"),
        ),
    ),
    "network": (
        "The critic's network and the columns that it reads.",
        (
            *("transform", "hidden_dim", "hidden_layers", "embedding_dim"),
            *("activation", "init_std", "precision"),
        ),
    ),
    "training": (
        "How the network is trained.",
        (
            *("validation", "n_iters", "batch_size", "replace", "lr", "b1", "b2", "ema"),
            *("weight_decay", "schedule", "eval_every", "patience"),
            *("smoothing", "checkpoint_every"),
        ),
    ),
}

LEAST = {"folds": 2, "batch_size": 2, "eval_rows": 10, "patience": 0}  # of whole numbers; others 1
MOST = {"permutations": 1_000_000, "hidden_layers": 1000}
WITHIN = {  # of other numbers, the interval
    **dict.fromkeys(("lr", "ma_ef"), "(0, inf)"),
    "weight_decay": "[0, inf)",
    "clip": "(0, 1e30]",  # scores and weights are in single precision
    **dict.fromkeys(("init_std", "gamma"), "[0, 1e30]"),
    **dict.fromkeys(("b1", "b2", "ema"), "[0, 1)"),
    **dict.fromkeys(("alpha", "ma_rate", "smoothing"), "(0, 1]"),
    "validation": "(0, 1)",
}
BITS = 'Results are in nats; result.summary("bits") and result.as_dict("bits") show bits.'
NO_SETTINGS = {"unit": BITS, "units": BITS}  # what is looked for among the settings


@dataclass(frozen=True)
class Config:
    """Settings of an estimate. `Config.notebook()` returns those of the InfoNCE notebook.

    Raises:
        InputError: a value outside its range.

    Example:
        >>> Config(lr=1e-3).lr
        0.001
        >>> Config().with_(learning_rate=1e-3)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a known setting; got learning_rate. Nearest: ...
    """

    seed: int = 0
    """Seed of all random choices: folds, initial weights, batches. The same seed gives the same
    result."""
    folds: int = 4
    """Number of cross-fitting folds. Each row is tested once, by a critic fitted to other folds."""
    validation: float = 0.15
    """Fraction of a fold's training rows that is held out for early stopping and model
    selection."""
    level: float = 0.95
    """Confidence level of the interval and of the certificate."""
    certify: bool = True
    """Also compute a certified lower bound and a p-value, from critics fitted to the first quarter
    and the first half of the rows and evaluated on the others."""
    permutations: int = 999
    """Number of permutations of y for the p-value."""
    series: bool = False
    """Rows are a time series. Folds are then contiguous with gaps, the p-value comes from moving y
    against x in time, the interval allows for autocorrelation, and nothing is certified."""
    pointwise: bool = False
    """Store the contribution of each row to the estimate in the result."""
    bound: str = "infonce"
    """Bound that is maximised in training and evaluated on held-out rows. `infobound bounds` lists
    them."""
    estimator: Literal["default", "gaussian", "student", "ksg"] = "default"
    """default: cross-fitted critics. Others, for comparison: gaussian or student (one copula), ksg
    (nearest neighbours; no held-out value)."""
    base: str = "auto"
    """Closed-form models that the critic may start from; the best on held-out rows is used:
    gaussian, gaussian_raw, gaussian_shrunk (columns close to the number of rows), unwound (after
    rotations that depend on the norm), student, contaminated, mixture, fine_mixture, finest_mixture
    (up to four columns), sheared (a mixture after one column is shifted by others), curved (smooth
    functions of one side), gaussians, gaussians_raw (two to four Gaussians), projected (a few
    directions of many columns), mean (one column that varies around a function of the others),
    classwise and posterior (x or y has few distinct values), table, linear_probe, network_probe
    (one kind of classifier; only if named). Separate several by commas. auto: all of them, or none
    if the critic is your own module."""
    critic: str = "separable"
    """Network: separable, joint (as in the InfoNCE notebook), bilinear, or none (the closed-form
    model alone)."""
    transform: Literal["auto", "both", "scores", "robust", "raw"] = "auto"
    """Input of the network: normal scores, robustly scaled values, both (with their norms), or raw
    values. auto: both, or raw if the critic is your own module."""
    hidden_dim: int = 128
    """Width of the hidden layers."""
    hidden_layers: int = 2
    """Number of hidden layers."""
    embedding_dim: int = 64
    """Dimension of the two embeddings whose inner product is a separable critic's score."""
    activation: Literal["silu", "elu", "relu", "gelu", "tanh"] = "silu"
    """Activation function of the hidden layers."""
    init_std: float = 0.0
    """Initial weights are drawn from N(0, init_std^2) and biases are 0, as in the notebook. 0:
    scaled by fan-in."""
    n_iters: int = 1000
    """Maximum number of training iterations per fold."""
    batch_size: int = 256
    """Rows per batch. The other rows of a batch are the negatives of each row."""
    replace: bool = False
    """Draw the rows of a batch with replacement."""
    lr: float = 2e-3
    """Learning rate of Adam."""
    b1: float = 0.9
    """Decay rate of Adam's first moment."""
    b2: float = 0.99
    """Decay rate of Adam's second moment."""
    ema: float = 0.98
    """Decay rate of the moving average of the weights. The averaged weights are evaluated and kept.
    0: no averaging."""
    weight_decay: float = 1e-2
    """Decoupled weight decay (AdamW). 0 gives Adam."""
    schedule: Literal["cosine", "constant"] = "constant"
    """Schedule of the learning rate over n_iters."""
    eval_every: int = 25
    """Iterations between evaluations on training and validation rows."""
    patience: int = 6
    """Stop after this many evaluations without improvement on validation rows and keep the best
    weights. 0: train to the end and keep the last weights, as the notebook does."""
    eval_rows: int = 2500
    """Number K of rows scored against each other in one evaluation block. InfoNCE cannot exceed
    log K."""
    gamma: float = 0.0
    """Clip scores to [-gamma, gamma]. 0: no clipping. (The notebook declares it but never reads
    it.)"""
    clip: float = 5.0
    """SMILE: clip the scores in the normaliser to [-clip, clip]."""
    alpha: float = 0.5
    """Alpha-interpolated bound: weight of the normaliser estimated from the batch."""
    ma_rate: float = 0.1
    """MINE: rate of the moving average in its gradient. (The notebook declares it but never reads
    it.)"""
    ma_ef: float = 1.0
    """MINE: initial value of the moving average of E[e^f]. (The notebook declares it but never
    reads it.)"""
    smoothing: float = 0.01
    """Moving-average rate, per iteration, of the plotted curve (the notebook's second ma_rate)."""
    checkpoint_every: int = 500
    """Iterations between checkpoints, if there is a run directory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the joint critic's hidden layers. bfloat16 is faster; its error is about 0.1 %
    of the range of the scores, and a few thousandths of a nat in the bound
    (docs/performance.md)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device that trains the critic. auto: CUDA if available and faster (joint critics, your own
    modules, large batches)."""

    def __post_init__(self) -> None:
        """Check every value's type and range; NumPy's numbers become Python's."""
        for field in dataclasses.fields(self):
            value = _checked(field.name, str(field.type), getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def with_(self, **settings: Any) -> Config:
        """This configuration with other values for some settings; an unknown name is an error."""
        names = [field.name for field in dataclasses.fields(self)]
        for name in settings:
            if name in NO_SETTINGS:
                raise InputError(f"Expected a known setting; got {name}. {NO_SETTINGS[name]}")
            if name not in names:
                near = ", ".join(difflib.get_close_matches(name, names, 3, 0.3)) or ", ".join(names)
                raise InputError(f"Expected a known setting; got {name}. Nearest: {near}.")
        return dataclasses.replace(self, **settings)

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Config:
        """The inverse of `as_dict`."""
        arguments.expect(isinstance(settings, Mapping), "settings", "a mapping", settings)
        return cls().with_(**{str(name): value for name, value in settings.items()})

    @classmethod
    def notebook(cls) -> Config:
        """The notebook's hyper-parameters, evaluated every 100 iterations instead of at each.

        Source: https://github.com/ccha23/miml (the page `infonce`).
        """
        return cls(
            bound="infonce_over_x",
            base="none",
            critic="joint",
            transform="raw",
            hidden_dim=100,
            hidden_layers=2,
            activation="elu",
            init_std=0.02,
            n_iters=60_000,
            batch_size=100,
            lr=1e-4,
            b1=0.5,
            b2=0.999,
            ema=0.0,
            weight_decay=0.0,
            schedule="constant",
            eval_every=100,
            patience=0,
        )


def configured(
    config: Config | None, settings: Mapping[str, Any], default: Config | None = None
) -> Config:
    """The configuration of a call: `config`, or the default, with other values for some settings.

    Raises:
        InputError: `config` is something else, or a setting is unknown or out of range.

    Example:
        >>> configured(Config(seed=3), {"lr": 1e-3}).seed
        3
    """
    remedy = "Write Config(**settings), or give the settings as keywords."
    config = (default or Config()) if config is None else config
    return arguments.instance("config", config, Config, remedy).with_(**settings)


def _checked(name: str, kind: str, value: Any) -> Any:
    """The value of a setting, by its name and the annotation of its field."""
    if name == "seed":
        return arguments.seed(name, value)
    if name == "level":
        return arguments.level(name, value)
    if kind == "int":
        most = MOST.get(name, arguments.MOST_COUNT)
        return arguments.integer(name, value, least=LEAST.get(name, 1), most=most)
    if kind == "float":
        return arguments.real(name, value, WITHIN[name])
    if kind == "bool":
        return arguments.boolean(name, value)
    return (
        arguments.choice(name, value, _choices(kind))
        if kind != "str"
        else arguments.text(name, value)
    )


def _choices(annotation: str) -> tuple[str, ...]:
    """The names in the annotation of a field, such as Literal["a", "b"]."""
    return tuple(part.strip(" '\"") for part in annotation[len("Literal[") : -1].split(","))
