"""All ordered pairs of a table: q-values, tables, pictures, and resuming."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import false_discovery_control

from infobound import Config, InputError, transfer_network

FAST = {"config": Config(base="gaussian", critic="none"), "permutations": 199, "jobs": 1}


@pytest.fixture(scope="module")
def table():
    """A chain a -> b -> c, and d alone; all are autocorrelated."""
    rng = np.random.default_rng(0)
    noise = lfilter([1], [1, -0.6], rng.normal(size=(4, 400)))
    a, b, c, d = noise
    for t in range(1, 400):
        b[t] += 0.6 * a[t - 1]
        c[t] += 0.6 * b[t - 1]
    return pd.DataFrame({"a": a, "b": b, "c": c, "d": d})


@pytest.fixture(scope="module")
def found(table):
    return transfer_network(table, **FAST)


def test_the_chain_is_found(found):
    strong = {(link.source, link.target) for link in found.links if link.q_value <= 0.05}
    assert {("a", "b"), ("b", "c")} <= strong
    assert not {pair for pair in strong if "d" in pair or pair in {("b", "a"), ("c", "b")}}
    assert [link.mi for link in found.links] == sorted((k.mi for k in found.links), reverse=True)
    p = np.array([link.p_value for link in found.links])
    assert [link.q_value for link in found.links] == pytest.approx(false_discovery_control(p))


def test_an_intermediate_that_is_given_explains_a_chain(table):
    given = transfer_network(table[["a", "b", "c"]], given=["b"], history=2, **FAST)
    assert given.columns == ("a", "c")
    assert given.given == ("b",)
    assert min(link.q_value for link in given.links) > 0.01


def test_frame_matrix_and_files(found, tmp_path):
    frame = found.to_frame()
    assert [*frame][:8] == ["source", "target", "mi", "low", "high", "p_value", "q_value", "n"]
    assert len(frame) == 12
    assert found.least_q == 12 / 200  # 199 draws
    assert set(frame["n"]) == {399}
    matrix = found.matrix()
    assert matrix.shape == (4, 4)
    assert np.isnan(np.diag(matrix)).all()
    first = found.links[0]
    assert matrix.loc[first.source, first.target] == first.mi
    assert found.matrix(units="bits").loc[first.source, first.target] > first.mi
    for ending in ("csv", "parquet", "json"):
        found.save(tmp_path / f"all.{ending}", units="bits")
    assert pd.read_csv(tmp_path / "all.csv")["mi"][0] == pytest.approx(frame["mi"][0] / np.log(2))
    assert len(pd.read_parquet(tmp_path / "all.parquet")) == 12
    assert len(json.loads((tmp_path / "all.json").read_text())["links"]) == 12
    with pytest.raises(InputError, match="Expected a file ending"):
        found.save(tmp_path / "all.txt")
    with pytest.raises(InputError, match="Expected value"):
        found.matrix("target")


def test_pictures(found):
    network = found.figure()
    drawn = sum(link.q_value <= 0.05 for link in found.links)
    assert len(network.axes[0].patches) == drawn
    cells = found.figure("matrix", units="bits").axes[0]
    assert len(cells.patches) == drawn
    assert len(cells.texts) == 12
    with pytest.raises(InputError, match="Expected kind"):
        found.figure("tree")


def test_it_resumes_and_extends(table, tmp_path):
    seen = []

    def watch(progress):
        seen.append((progress.done, progress.total))

    out = tmp_path / "net"
    first = transfer_network(table[["a", "b"]], out=out, watch=watch, **FAST)
    assert seen == [(0, 2), (1, 2), (2, 2)]
    seen.clear()
    again = transfer_network(table[["a", "b"]], out=out, watch=watch, **FAST)
    assert seen == [(2, 2)]
    assert again == first
    seen.clear()
    more = transfer_network(table[["a", "b", "c"]], out=out, watch=watch, **FAST)
    assert seen[0] == (2, 6)
    assert len(more.links) == 6
    assert transfer_network(table[["a", "b"]], out=out, **FAST) == first
    with pytest.raises(InputError, match="Expected the pairs in out to be of these rows"):
        transfer_network(table[["a", "b"]] + 1, out=out, **FAST)
    with pytest.raises(InputError, match="Expected the pairs in out to be of these rows"):
        transfer_network(table[["a", "b"]], out=out, history=2, **FAST)
    transfer_network(table[["a", "b"]] + 1, out=out, overwrite=True, **FAST)


def test_what_cannot_be_used_is_left_out(table):
    own = table[["a", "b"]].assign(
        when=pd.date_range("2024-01-01", periods=400), same=1.0, trial=np.repeat([0, 1], 200)
    )
    found = transfer_network(own, groups="trial", **FAST)
    assert found.columns == ("a", "b")
    assert sorted(found.left_out) == ["same", "when"]
    assert found.links[0].n == 398
    with pytest.raises(InputError, match="same"):
        transfer_network(own, given=["same"], **FAST)
    with pytest.raises(InputError, match="Expected two or more columns"):
        transfer_network(own[["a", "same"]], **FAST)
    with pytest.raises(InputError, match="Expected a known column"):
        transfer_network(own, given=["z"], **FAST)
    with pytest.raises(InputError, match="Expected overwrite"):
        transfer_network(own, overwrite=True, **FAST)
