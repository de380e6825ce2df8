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

__all__ = ["Config", "configured"]

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
BITS = 'Results are in nats; result.as_dict("bits") has them in bits.'
NO_SETTINGS = {"unit": BITS, "units": BITS}  # what is looked for among the settings


@dataclass(frozen=True)
class Config:
    """The settings of an estimate. `Config.notebook()` gives the notebook's.

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
    """Seed of every random choice: folds, starting weights, batches. Same seed, same result."""
    folds: int = 4
    """Folds of the cross-fitting: every row is tested once, by a critic that never saw it."""
    validation: float = 0.15
    """Share of a fold's training rows that stops the training and chooses the critic."""
    level: float = 0.95
    """Level of the interval around the estimate, and of the certificate."""
    certify: bool = True
    """Give a certificate and a p-value too: critics fitted to the first quarter and half of the
    rows bet on the rest."""
    permutations: int = 999
    """Permutations of y against which the p-value is counted."""
    series: bool = False
    """Rows follow each other in time: folds are stretches of time, the p-value comes from moving
    y against x, and the interval allows for rows that depend on those before them. Nothing is
    certified then."""
    pointwise: bool = False
    """Keep each row's part of the estimate in the result."""
    bound: str = "infonce"
    """The bound that is trained and reported on held-out rows; `infobound bounds` lists them."""
    estimator: Literal["default", "gaussian", "student", "ksg"] = "default"
    """default: all of what follows; or a second opinion: the Gaussian or the Student copula alone,
    or Kraskov's nearest neighbours (no held-out value)."""
    base: str = "auto"
    """Closed-form models that the critic may start from, the best on held-out rows is taken:
    gaussian, gaussian_raw, gaussian_shrunk (columns near the number of rows), student,
    contaminated, mixture, fine_mixture, classwise (a side of few values), table, several with
    commas, none; auto: all, and none for your own module."""
    critic: str = "separable"
    """The network: separable, joint (the notebook's), bilinear, or none (the base alone)."""
    transform: Literal["auto", "both", "scores", "robust", "raw"] = "auto"
    """Columns as the network sees them: normal scores, robustly scaled, both with their radii, or
    raw. auto: both, and raw for your own module."""
    hidden_dim: int = 128
    """Width of the hidden layers."""
    hidden_layers: int = 2
    """Number of hidden layers."""
    embedding_dim: int = 64
    """Length of the two vectors whose product is a separable critic's score."""
    activation: Literal["silu", "elu", "relu", "gelu", "tanh"] = "silu"
    """Activation of the hidden layers."""
    init_std: float = 0.0
    """Weights drawn from N(0, init_std^2), biases 0, as the notebook does; 0: scaled by fan-in."""
    n_iters: int = 1000
    """Training iterations at most (per fold)."""
    batch_size: int = 256
    """Rows per batch; each row's negatives are the other rows of its batch."""
    replace: bool = False
    """Draw the rows of a batch with replacement."""
    lr: float = 2e-3
    """Adam's learning rate."""
    b1: float = 0.9
    """Adam's decay of the first moment."""
    b2: float = 0.99
    """Adam's decay of the second moment."""
    ema: float = 0.98
    """Decay of the moving average of the weights, which is what is evaluated and kept; 0: none."""
    weight_decay: float = 1e-2
    """Decoupled weight decay (AdamW); 0 gives Adam."""
    schedule: Literal["cosine", "constant"] = "constant"
    """How the learning rate falls over n_iters."""
    eval_every: int = 25
    """Iterations between two evaluations, on training and on validation rows."""
    patience: int = 6
    """Stop after so many evaluations without a better validation value and keep the best weights;
    0: train to the end and keep the last ones, as the notebook does."""
    eval_rows: int = 2500
    """Rows scored against each other in one evaluation block, hence the ceiling log K."""
    gamma: float = 0.0
    """Scores clipped to [-gamma, gamma]; 0: not clipped (the notebook declares it and never reads
    it)."""
    clip: float = 5.0
    """SMILE: the normaliser's scores are clipped to [-clip, clip]."""
    alpha: float = 0.5
    """Alpha-interpolated bound: the weight of the batch's own normaliser."""
    ma_rate: float = 0.1
    """MINE: rate of the moving average in its gradient (declared, never read in the notebook)."""
    ma_ef: float = 1.0
    """MINE: where the moving average of E[e^f] starts (declared, never read in the notebook)."""
    smoothing: float = 0.01
    """Moving-average rate per iteration of the plotted curve; the notebook's second ma_rate."""
    checkpoint_every: int = 500
    """Iterations between two checkpoints, where there is a run directory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the joint critic's hidden layers, which score pair by pair; bfloat16 is faster,
    errs by about a thousandth of the scores' range in single scores, and by some thousandths of a
    nat in the bound (docs/performance.md)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the critic is trained; auto: CUDA where there is any."""

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
        most = MOST.get(name, arguments.MOST)
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
