"""
Do some stocks lead others?
===========================

Matplotlib ships the monthly prices of some stocks and of the S&P 500 index since 1990. Prices go together for decades.
Does the change of one price say something about that of another, and does one come first?
"""

import numpy as np
import pandas as pd
from matplotlib.cbook import get_sample_data

import infobound

path = get_sample_data("Stocks.csv", asfileobj=False)
prices = pd.read_csv(path, comment="#", index_col="Date")[
    ["IBM", "MSFT", "XRX", "^GSPC"]
].dropna()
returns = np.log(prices).diff().dropna()
print(f"{len(returns)} months, {returns.index[0]} to {returns.index[-1]}")

# %%
# All pairs at their best lags
# ----------------------------
#
# `lagged_pairs` tests each pair at all lags of up to a year in both directions, and adjusts for the lags and the pairs.

pairs = infobound.lagged_pairs(returns, max_lag=12)
print(
    pairs.to_frame()[["x", "y", "lag", "mi", "low", "high", "q_value"]]
    .round(3)
    .to_string(index=False)
)

# sphinx_gallery_start_ignore
assert len(returns) == 390
assert {pair.lag for pair in pairs.pairs} == {0}
assert max(pair.q_value for pair in pairs.pairs) < 1e-6
assert all(pair.mi > 0.1 for pair in pairs.pairs)
# sphinx_gallery_end_ignore

# %%
# All six pairs depend on each other, with the strongest evidence within the same month: the lag is 0, and the picture
# has lines instead of arrows.

network = pairs.figure("network", title="Monthly returns")

# %%
# One pair at all lags
# --------------------
#
# The curve of one stock and the index shows that the months before and after say nothing that can be told from chance:

curve = infobound.lags(returns["MSFT"], returns["^GSPC"], max_lag=12, refine=False)
print(curve)
profile = curve.plot()

# sphinx_gallery_start_ignore
assert curve.found == (0,)
# sphinx_gallery_end_ignore

# %%
# What the numbers say, and what they do not
# ------------------------------------------
#
# In this table no stock leads by a month or more. This does not exclude that one leads within a month, since one row is
# a month, and it does not explain why the stocks move together: the market is a common cause of all of them.
