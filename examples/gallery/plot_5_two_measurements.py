"""
Which of two sensors says more about the target?
================================================

Two sensors, two assays, two questionnaires: which one would you keep? Estimating the information of each and looking
whether the intervals overlap is not the answer. Both are measured on the same rows, so their errors have much in
common, and the difference is known better than each value.

Here the "sensors" are measurements of 442 diabetes patients, and the target is the progression of the disease one year
later. Is the body mass index worth more than the blood pressure, the cholesterol ratio, or the triglycerides?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import infobound

data = load_diabetes(as_frame=True, scaled=False).frame
names = {
    "bp": "blood pressure",
    "s4": "cholesterol ratio",
    "s5": "log triglycerides",
}

# %%
# `compare` estimates I(X1;Y) - I(X2;Y), with both estimates on the same rows and folds.

found = {
    name: infobound.compare(
        data["bmi"], data[column], data["target"], critic="none", certify=False
    )
    for column, name in names.items()
}
for name, result in found.items():
    low, high = result.interval
    print(
        f"body mass index less {name:18} {result.difference:6.3f} nats "
        f"[{low:6.3f}, {high:.3f}], p = {result.p_value:.2g}"
    )

# sphinx_gallery_start_ignore
ratio, fat = found["cholesterol ratio"], found["log triglycerides"]
assert ratio.interval[0] > 0
assert ratio.first.interval[0] < ratio.second.interval[1]  # they overlap
assert fat.interval[0] < 0 < fat.interval[1]
# sphinx_gallery_end_ignore

# %%
# On the left each measurement by itself, on the right the differences. The intervals of the body mass index and the
# cholesterol ratio overlap a little, and yet their difference is clearly above zero.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 2.9), layout="constrained", sharey=False
)
single = {
    "body mass index": next(iter(found.values())).first,
    **{name: one.second for name, one in found.items()},
}
for axes, values, label in (
    (
        left,
        {name: (one.mi, one.interval) for name, one in single.items()},
        "information about the progression (nats)",
    ),
    (
        right,
        {name: (one.difference, one.interval) for name, one in found.items()},
        "body mass index less ... (nats)",
    ),
):
    for row, (value, interval) in enumerate(values.values()):
        axes.plot(interval, [row, row], color="#0072B2", linewidth=2)
        axes.plot(value, row, "o", color="#0072B2")
    axes.axvline(0, color="#262626", linewidth=0.8)
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# How many patients would settle the last question? The width of an interval goes down with the square root of the rows.

result = found["log triglycerides"]
half = (result.interval[1] - result.interval[0]) / 2
rows = result.first.n * (half / 0.02) ** 2
print(f"now +- {half:.3f} nats; +- 0.020 nats would take about {rows:,.0f} rows")

# %%
# Both together
# -------------
#
# A sensor that says less by itself may still be worth having. What do both say together?

both = infobound.estimate(
    data[["bmi", "s5"]], data["target"], critic="none", certify=False
)
print("body mass index  ", result.first)
print("log triglycerides", result.second)
print("both             ", both)
correlation = np.sqrt(1 - np.exp(-2 * both.mi))
print(
    f"normal variables with this information have a correlation of {correlation:.2f}"
)

# sphinx_gallery_start_ignore
assert both.mi > max(result.first.mi, result.second.mi)
assert both.mi < result.first.mi + result.second.mi
# sphinx_gallery_end_ignore

# %%
# What the numbers say, and what they do not
# ------------------------------------------
#
# - The body mass index says more than the blood pressure or the cholesterol ratio. Between it and the triglycerides the
#   data do not decide: the interval has both signs. It does say how large a difference can be at most.
# - Three comparisons were made. The `p_value` of each is for this comparison alone; for a claim about the best of three,
#   multiply it by three.
# - Both together say more than either, and less than the sum: a part is the same.
# - A value in nats is about the relation in *these* patients. A sensor that says less here may say more among others, for
#   example where its values vary more.
