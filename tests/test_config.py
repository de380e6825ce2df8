"""One dataclass holds every default, and says no to what it does not know."""

import dataclasses
import json

import numpy as np
import pytest

from infobound.config import GROUPS, Config
from infobound.errors import InputError


def test_round_trip_through_json():
    config = Config.notebook().with_(seed=3)
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_the_notebooks_hyper_parameters():
    config = Config.notebook()
    assert (config.lr, config.b1, config.b2) == (1e-4, 0.5, 0.999)
    assert (config.n_iters, config.batch_size, config.hidden_dim) == (60_000, 100, 100)
    assert (config.ma_rate, config.ma_ef, config.gamma, config.smoothing) == (0.1, 1, 0, 0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "lr to be a positive number; got 0.0"),
        ({"lr": float("nan")}, "lr to be a finite number; got nan"),
        ({"level": 1.0}, r"level to be in \(0, 1\); got 1.0"),
        ({"folds": 1}, "folds to be 2 or more; got 1"),
        ({"activation": "sine"}, "one of .*elu.*; got 'sine'"),
        ({"hidden": 3}, "known setting; got hidden. Nearest: hidden_dim"),
        ({"seed": -1}, "seed to be zero or more; got -1"),
        ({"folds": 2.5}, "folds to be of type int; got 2.5"),
        ({"n_iters": True}, "n_iters to be of type int; got True"),
        ({"lr": "fast"}, "lr to be of type float; got 'fast'"),
        ({"replace": 1}, "replace to be of type bool; got 1"),
    ],
)
def test_errors_say_what_was_expected_and_found(settings, message):
    with pytest.raises(InputError, match=message):
        Config().with_(**settings)


def test_numpys_numbers_become_pythons():
    config = Config(seed=np.int64(3), lr=np.float32(0.5), clip=2)
    assert json.dumps([config.seed, config.lr, config.clip]) == "[3, 0.5, 2.0]"


def test_each_setting_is_in_one_group():
    grouped = [name for _, names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(field.name for field in dataclasses.fields(Config))
