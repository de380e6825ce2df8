"""Pictures: what they say, that they are the same twice, and the smoothing's arithmetic."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from infobound.errors import InputError
from infobound.plotting import figures as plots

HEADS = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


def history(length=400, spacing=25, validation=None):
    generator = np.random.default_rng(0)
    iteration = np.arange(length) * spacing
    rise = 4 * (1 - np.exp(-np.arange(length) / 60))
    held_out = rise - np.arange(length) / 100 if validation is None else validation
    train = rise + 0.1 * generator.normal(size=length)
    return {"iteration": iteration, "train": train, "validation": held_out}


def svg(figure):
    return plots.render(figure, "svg").decode()


def estimate_numbers(**changes):
    numbers = {"mi": 4.8, "interval": (4.6, 5.1), "held_out": 4.3, "held_out_error": 0.1}
    return {**numbers, "training": 5.4, "title": "400 rows", **changes}


def test_smoothing_every_iteration_is_the_notebooks_loop():
    values = np.random.default_rng(1).normal(size=500)
    expected = values.copy()
    for k in range(1, len(expected)):
        expected[k] = (1 - 0.01) * expected[k - 1] + 0.01 * expected[k]
    assert (plots.smooth(values, np.arange(500), 0.01) == expected).all()


def test_smoothing_a_step_does_not_depend_on_the_spacing():
    """Of a curve that is constant after its start, every spacing gives the same points."""
    dense = plots.smooth(np.r_[0.0, np.ones(1000)], np.arange(1001), 0.01)
    for spacing in (2, 50, 500):
        steps = np.arange(0, 1001, spacing)
        sparse = plots.smooth(np.r_[0.0, np.ones(len(steps) - 1)], steps, 0.01)
        np.testing.assert_allclose(sparse, dense[::spacing], rtol=0, atol=1e-12)


def test_smoothing_takes_no_step_at_nan():
    curve = plots.smooth(np.array([math.nan, 1, math.nan, 0]), np.arange(4), 0.5)
    np.testing.assert_array_equal(curve, [math.nan, 1, 1, 0.25])


@pytest.mark.parametrize(
    ("values", "level", "expected"),
    [
        ([0, 2, 4, 3], 3.5, 200),
        ([0, 2, 4, 3], 4.0, None),  # exceeds, as in the notebook: equality does not count
        ([5, 2, 4, 3], 3.5, 0),
        ([math.nan, 2, 4, 3], 1.0, 100),
        ([math.nan] * 4, 1.0, None),
    ],
)
def test_first_reached(values, level, expected):
    assert plots.first_reached(np.array(values), np.arange(4) * 100, level) == expected


@pytest.mark.parametrize("kind", HEADS)
def test_the_same_numbers_give_the_same_bytes(kind):
    pictures = []
    for _ in range(2):
        figure = plots.training_curve(history(), title="Twice", truth=4.0, ceiling=5.99, count=400)
        pictures += [plots.render(figure, kind), plots.render(figure, kind)]
    assert pictures[0].startswith(HEADS[kind])
    assert len(set(pictures)) == 1
    assert b"Date" not in pictures[0]


def test_png_is_150_dots_per_inch():
    figure = plots.training_curve(history(), title="Size")
    png = plots.render(figure, "png")
    width, height = (int.from_bytes(png[k : k + 4], "big") for k in (16, 20))
    assert [width, height] == [int(150 * inches) for inches in figure.get_size_inches()]


def test_training_curve_says_what_it_shows():
    figure = plots.training_curve(
        history(), title="A & B", truth=4.0, ceiling=math.log(400), count=400, chosen=2500
    )
    text = svg(figure)
    curve = history()
    smoothed = plots.smooth(curve["train"], curve["iteration"], 0.01)
    reached = plots.first_reached(smoothed, curve["iteration"], 3.2)
    assert reached > 1000
    for words in (
        "A &amp; B",
        "mutual information (nats)",
        "iteration",
        "ground truth = 4.00",
        f"80 % of the truth, iteration {reached:,}",
        "ceiling log 400 = 5.99",
        "weights chosen, iteration 2,500",
        "held-out rows",
        "10,000",
    ):
        assert words in text


def test_without_a_truth_nothing_speaks_of_it():
    assert "truth" not in svg(plots.training_curve(history(), title="No answer known"))


def test_bits_are_nats_over_log_2():
    figures = [
        plots.training_curve(
            history(), title="Unit", truth=4.0, ceiling=math.log(400), count=400, unit=unit
        )
        for unit in ("nats", "bits")
    ]
    nats, bits = (figure.axes[0] for figure in figures)
    drawn = [line for line in nats.lines if len(line.get_ydata()) > 2]
    assert len(drawn) == 3
    for one, other in zip(nats.lines, bits.lines, strict=True):
        if len(one.get_ydata()) > 2:
            np.testing.assert_allclose(other.get_ydata(), one.get_ydata() / math.log(2))
    text = svg(figures[1])
    assert "mutual information (bits)" in text
    assert "nats" not in text
    assert f"ceiling log₂ 400 = {math.log2(400):.2f}" in text
    assert f"ground truth = {4 / math.log(2):.2f}" in text


@pytest.mark.parametrize("hole", ["validation", "train", "both"])
def test_nan_is_tolerated(hole):
    curve = history(40)
    if hole != "train":
        curve["validation"] = np.full(40, math.nan)
    if hole != "validation":
        curve["train"] = np.full(40, math.nan)
    text = svg(plots.training_curve(curve, title="Holes", truth=2.0, ceiling=3.0, chosen=500))
    assert ("held-out rows" in text) == (hole == "train")


def test_a_single_record_can_be_drawn():
    assert plots.render(plots.training_curve(history(1), title="One", chosen=0), "png")


def test_what_would_squash_the_curves_is_named_and_not_drawn():
    """A deep fall of the held-out curve and a far ceiling leave the rest readable."""
    curve = history(validation=np.linspace(2, -300, 400))
    figure = plots.training_curve(curve, title="Deep", truth=4.0, ceiling=100.0)
    low, high = figure.axes[0].get_ylim()
    assert -10 < low < -5
    assert 4 < high < 6
    text = svg(figure)
    assert "held-out rows, down to −300.00" in text
    assert "ceiling 100.00, beyond the frame" in text


def test_a_fall_of_the_notebooks_size_stays_inside():
    curve = history(validation=np.linspace(4.4, -5.7, 400))
    figure = plots.training_curve(curve, title="Notebook", truth=4.98, ceiling=5.99)
    low, high = figure.axes[0].get_ylim()
    assert low < -5.7
    assert high > 5.99
    assert "beyond" not in svg(figure)


def overlapping(figure):
    """Pairs of texts of the picture whose boxes meet."""
    from matplotlib.text import Text

    plots.render(figure, "png")
    seen = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in seen]
    return [
        (a, b)
        for k, (a, one) in enumerate(boxes)
        for b, other in boxes[k + 1 :]
        if a != b and one.overlaps(other)
    ]


@pytest.mark.parametrize("unit", ["nats", "bits"])
def test_no_text_lies_on_another(unit):
    curve = plots.training_curve(
        history(), title="Long " * 30, truth=4.0, ceiling=5.99, count=400, chosen=2500, unit=unit
    )
    numbers = estimate_numbers(truth=5.0, ceiling=5.99, count=400, unit=unit)
    one = plots.estimate_figure(**numbers, certified=3.9)
    assert overlapping(curve) == []
    assert overlapping(one) == []
    one.text(0.5, 0.5, "on"), one.text(0.5, 0.5, "top")  # the check can fail
    assert ("on", "top") in overlapping(one)


@pytest.mark.parametrize(("unit", "scale"), [("nats", 1.0), ("bits", math.log(2))])
def test_estimate_figure_says_what_it_shows(unit, scale):
    numbers = estimate_numbers(truth=5.0, ceiling=math.log(400), count=400, unit=unit)
    assert "certified" not in svg(plots.estimate_figure(**numbers))
    text = svg(plots.estimate_figure(**numbers, certified=3.9))
    for words in (
        "certified at 95 %",
        f"≥ {3.9 / scale:.3f}",
        "training rows",
        "held-out lower bound",
        "estimate, 95 % interval",
        f"mutual information ({unit})",
        f"{4.8 / scale:.3f}  [{4.6 / scale:.3f}, {5.1 / scale:.3f}]",
        f"{4.3 / scale:.3f} ± {0.1 / scale:.3f}",
        f"ground truth = {5 / scale:.2f}",
        f"400 = {math.log(400) / scale:.2f}",
    ):
        assert words in text


def test_a_far_ceiling_does_not_squash_a_small_estimate():
    numbers = estimate_numbers(mi=0.05, interval=(-0.02, 0.12), held_out=-0.03, training=0.15)
    figure = plots.estimate_figure(**{**numbers, "ceiling": 5.99, "title": "Small"})
    assert figure.axes[0].get_xlim()[1] < 0.3
    assert "−0.030 ± 0.100" in svg(figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.smooth(np.ones(3), np.arange(2), 0.1), "vectors of equal length"),
        (lambda: plots.smooth(np.ones(0), np.ones(0), 0.1), "one record or more"),
        (lambda: plots.smooth(np.ones(3), np.array([0, 2, 1]), 0.1), "iterations that increase"),
        (lambda: plots.smooth(np.ones(3), np.arange(3), 0.0), "rate in"),
        (lambda: plots.first_reached(np.ones(3), np.arange(2), 1), "vectors of equal length"),
        (lambda: plots.training_curve({"train": np.ones(2)}, title=""), "Add iteration"),
        (lambda: plots.training_curve(history(), title="", unit="bans"), "'nats', 'bits'"),
        (lambda: plots.estimate_figure(**estimate_numbers(unit="bans")), "'nats', 'bits'"),
        (lambda: plots.render(None, "gif"), "png, svg and pdf"),
    ],
)
def test_what_a_caller_can_mend_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("backend", ["nonsense", "module://absent.backend", "svg"])
def test_no_backend_of_the_environment_is_in_the_way(backend):
    script = (
        "import os, numpy as np\nfrom infobound.plotting import figures as plots\n"
        "history = {c: np.arange(3) for c in ('iteration', 'train', 'validation')}\n"
        "figure = plots.training_curve(history, title='$x^$ and \u4e00')\n"
        "assert plots.render(figure, 'png')[1:4] == b'PNG'\n"
        "import matplotlib\ntheirs = os.environ['MPLBACKEND']\n"
        "print(matplotlib.rcParams._get('backend') == theirs, theirs)"
    )
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    # The variable is as it was, and a backend that matplotlib knows is left to the caller's pyplot.
    assert done.stdout.split() == [str(backend != "nonsense"), backend]


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, infobound.plotting.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_leave_no_state_behind():
    code = """
import sys, matplotlib, infobound.plotting.figures as plots
before = matplotlib.rcParams.copy()
steps = {column: range(3) for column in ("iteration", "train", "validation")}
plots.render(plots.training_curve(steps, title="State"), "svg")
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
