"""Write a table of four series: air drives soil, soil drives crop two rows later, price is alone.

python examples/make_series.py series.csv
infobound transfer series.csv --x air --y soil --lag 1:4 --figure lags.png
infobound transfer series.csv --lag 1 2 --figure network.png
"""

import sys

import numpy as np
import pandas as pd
from scipy.signal import lfilter

ROWS = 1500

air, soil, crop, price = lfilter([1], [1, -0.6], np.random.default_rng(0).normal(size=(4, ROWS)))
soil[1:] += 0.6 * air[:-1]
crop[2:] += 0.8 * np.sin(2 * soil[:-2])
table = pd.DataFrame({"air": air, "soil": soil, "crop": crop, "price": price})
table.to_csv(sys.argv[1] if len(sys.argv) > 1 else "series.csv", index=False)
