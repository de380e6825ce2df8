"""
Which of two series leads, and by how much?
===========================================

Two channels are recorded together. Does one act on the other, after which delay, and is a test right although each value
resembles the one before it? The series are simulated, so that the answer is known: a rate follows a field potential three
steps later, through a sine that no correlation sees well. Nothing goes the other way.
"""

import numpy as np
import pandas as pd
from scipy.signal import lfilter

import infobound

rng = np.random.default_rng(1)
field, own = lfilter([1], [1, -0.8], rng.normal(size=(2, 1500)))
rate = 0.5 * own
rate[3:] += 2 * np.sin(1.5 * field[:-3])
field, rate = pd.Series(field, name="field"), pd.Series(rate, name="rate")

# %%
# The lag curve
# -------------
#
# `lags` estimates the mutual information of the field at one time and the rate some steps later, for all lags in both
# directions. The field leads at positive lags.

curve = infobound.lags(field, rate, max_lag=12, refine=False)
print(curve)
print("found at lags", curve.found)
figure = curve.plot()

# sphinx_gallery_start_ignore
assert curve.peak.lag == 3
assert 3 in curve.found
assert min(curve.found) > 0
assert curve.peak.effective_n < 1500
# sphinx_gallery_end_ignore

# %%
# The lags beside the peak have a little information too, because the field resembles its own past; the tests remove
# that, and find lag 3 alone: the series depend on each other, and the field is three steps ahead.
#
# The direction
# -------------
#
# Transfer entropy asks more: what does the past of one series add about the other, *beyond the other's own past*?

found = infobound.transfer_entropy(field, rate, lag=range(1, 7))
print(found)

# sphinx_gallery_start_ignore
assert found.forward.lags == (3,)
assert found.forward.p_value < 0.01 < 0.05 < found.backward.p_value
assert found.difference.interval[0] > 0
# sphinx_gallery_end_ignore

# %%
# A test that takes rows for independent finds a dependence between slow series that have nothing to do with each other.
# Twenty pairs of independent series, each with an autocorrelation of .98:

wrong, right = [], []
for seed in range(20):
    pair = lfilter(
        [1], [1, -0.98], np.random.default_rng(seed).normal(size=(2, 500))
    )
    wrong.append(infobound.pairwise(pair.T, permutations=99).pairs[0].p_value)
    right.append(infobound.lags(*pair, max_lag=1, refine=False).peak.adjusted_p)
for name, values in (("rows taken as independent", wrong), ("lags", right)):
    print(
        f"p <= .05 in {np.mean(np.array(values) <= 0.05):4.0%} of the pairs: {name}"
    )

# sphinx_gallery_start_ignore
assert np.mean(np.array(wrong) <= 0.05) > 0.4
assert np.mean(np.array(right) <= 0.05) <= 0.15
# sphinx_gallery_end_ignore

# %%
# What the numbers say, and what they do not
# ------------------------------------------
#
# - The field leads by three steps: this is the lag that transfer entropy chose, with a p-value adjusted for the choice
#   among six. In the other direction nothing is found.
# - A third series that drives both, the field first, would look the same. If you recorded it, pass it as `given=`.
# - The numbers are nats per step. Sample twice as fast, and they change.
# - Both analyses take the series as stationary. Take out trends and seasons first.
