"""Probes: what each kind of classifier can use, and nothing of permuted labels."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from infobound.analyses.probes import probe
from infobound.cli.main import main
from infobound.errors import InputError

QUICK = {"critic": "none", "certify": False}
PROBED = {**QUICK, "base": "linear_probe", "folds": 2}  # where the estimate itself does not matter


def shifted(seed, n=600):
    """Three classes with other means in four columns."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return 2 * np.eye(4)[y] + rng.normal(size=(n, 4)), y


def spread(seed, n=600):
    """Two classes with the same means and other variances: nothing linear tells them apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    return rng.normal(size=(n, 3)) * np.where(y == 0, 1, 3)[:, None], y


def test_a_linear_probe_finds_means_and_a_network_finds_more():
    found = probe(*spread(0), **QUICK)
    first, second = found.probes
    assert first.held_out < 0.05 < 0.2 < second.held_out
    assert found.estimate.mi > second.held_out - 2 * second.held_out_error
    assert abs(first.permuted) < 0.1
    assert -0.1 < second.permuted < 0.02


@pytest.mark.usefixtures("few_steps")
def test_means_are_found_by_a_linear_probe_and_permuted_labels_tell_nothing():
    found = probe(*shifted(1), **QUICK)
    assert found.probes[0].held_out > 0.3
    for one in found.probes:
        assert -0.1 < one.permuted < 0.02 < one.held_out < found.entropy


def test_what_tells_subjects_apart_tells_nothing_about_those_of_other_folds(tmp_path, capsys):
    """Each of 40 subjects has one label and a place of its own in z, which says nothing of it."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(40), 8)
    y, z = rng.integers(2, size=40)[who], 3 * rng.normal(size=(40, 3))[who]
    z += 0.3 * rng.normal(size=z.shape)
    apart, together = (probe(z, y, groups=g, **PROBED).probes[1] for g in (who, None))
    assert apart.held_out < 0.1 < 0.4 < together.held_out
    table = pd.DataFrame(z, columns=[*"abc"]).assign(y=y, who=who)
    table.to_csv(tmp_path / "rows.csv", index=False)
    words = ["--x", "a", "b", "c", "--y", "y", "--group", "who", "--critic", "none", "--json"]
    words += ["--base", "linear_probe", "--folds", "2"]
    main(["probe", str(tmp_path / "rows.csv"), *words, "--no-certify"])
    found = json.loads(capsys.readouterr().out)
    assert found["estimate"]["group_count"] == 40
    assert found["probes"][1]["held_out"] == pytest.approx(apart.held_out)


@pytest.mark.usefixtures("few_steps")
def test_labels_are_codes_whatever_their_kind():
    """Also for a representation in another container."""
    z, y = shifted(7, n=400)
    names = np.array(["b", "a", "c"])[y]
    values = [
        [p.held_out for p in probe(rows, labels, **PROBED).probes]
        for rows, labels in (
            (z, 10 * y),
            (torch.from_numpy(z), pd.Series(names, dtype="category")),
        )
    ]
    assert np.ptp(values, axis=0).max() < 2e-3


@pytest.mark.usefixtures("few_steps")
def test_a_column_of_the_representation_may_be_called_y():
    z, labels = shifted(11, n=200)
    frame = pd.DataFrame(z.round(), columns=["x", "y", "u", "v"])
    found = probe(frame, pd.Series(labels, name="label"), **PROBED).estimate
    assert (found.dim_x, found.dim_y) == (4, 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (lambda z, y: z[:, 0], "at most 30 different labels"),
        (lambda z, y: np.zeros(len(y)), "two kinds or more"),
    ],
)
def test_what_is_no_label_is_refused_with_the_way_out(labels, sentence):
    z, y = shifted(9)
    with pytest.raises(InputError, match=sentence):
        probe(z, labels(z, y), **QUICK)
    with pytest.raises(InputError, match="Exchange z and y"):
        probe(y, y, **QUICK)


@pytest.mark.usefixtures("few_steps")
def test_the_command_prints_the_probes_and_json_in_bits(tmp_path, capsys):
    z, y = shifted(10, n=200)
    path = tmp_path / "rows.csv"
    frame = pd.DataFrame(z, columns=[f"z{k}" for k in range(4)]).assign(label=y)
    frame.to_csv(path, index=False)
    call = ["probe", str(path), "--x", "z*", "--y", "label", "--critic", "none", "--no-certify"]
    call += ["--base", "linear_probe", "--folds", "2"]
    main([*call, "--quiet"])
    said = capsys.readouterr().out
    assert "linear" in said
    assert "verdict" in said
    main([*call, "--json", "--units", "bits"])
    found = json.loads(capsys.readouterr().out)
    exact = probe(z, y, **PROBED)
    assert found["probes"][0]["held_out"] == pytest.approx(exact.probes[0].held_out / np.log(2))
    assert found["estimate"]["mi"] == pytest.approx(exact.estimate.mi / np.log(2))
