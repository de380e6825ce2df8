"""
Does x say anything about y that z does not?
============================================

Two variables depend on each other. Is it because both follow a third one? `given=` estimates I(X;Y|Z), what x says about
y when z is known, and `interaction` compares it with I(X;Y) on the same rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import infobound

# %%
# Where the answer is known
# -------------------------
#
# z is a common cause of x and y, and there is no other connection, so I(X;Y|Z) = 0 by construction. y depends on the
# square of z, so x and y are hardly correlated: a linear adjustment would have next to nothing to adjust for.

rng = np.random.default_rng(0)
z = rng.normal(size=1000)
x = z + 0.4 * rng.normal(size=1000)
y = z**2 + 0.6 * rng.normal(size=1000)

print(f"correlation of x and y: {np.corrcoef(x, y)[0, 1]:.2f}")
known = infobound.interaction(x, y, z, critic="none", certify=False)
print("I(X;Y)  ", known.unconditional)
print("I(X;Y|Z)", known.conditional)
print("difference", known)

# sphinx_gallery_start_ignore
assert abs(np.corrcoef(x, y)[0, 1]) < 0.2
assert known.unconditional.interval[0] > 0.2
assert known.conditional.interval[0] <= 0 <= known.conditional.interval[1]
# sphinx_gallery_end_ignore

# %%
# The dependence of x and y is strong, and nothing of it is left when z is known: the black rows have z
# near 1, and are a round cloud.

near = abs(z - 1) < 0.15
figure, axes = plt.subplots(figsize=(5.4, 4), layout="constrained")
points = axes.scatter(x, y, c=z, s=8, cmap="viridis")
axes.scatter(x[near], y[near], s=11, color="black", label="z near 1")
axes.set(
    xlabel="x",
    ylabel="y",
    title=f"I(X;Y) = {known.unconditional.mi:.2f}, I(X;Y|Z) = {known.conditional.mi:.2f} nats",
)
axes.legend(frameon=False)
figure.colorbar(points, label="z")
plt.show()

# %%
# Real data
# ---------
#
# 442 diabetes patients: how much does the body mass index say about the progression of the disease one year later, beyond
# what the blood values say? ``s1`` to ``s6`` are cholesterols, triglycerides and glucose.

data = load_diabetes(as_frame=True, scaled=False).frame
bmi, progression = data["bmi"], data["target"]
found = {
    name: infobound.interaction(
        bmi, progression, data[columns], critic="none", certify=False
    )
    for name, columns in {
        "age": ["age"],
        "glucose": ["s6"],
        "triglycerides": ["s5"],
        "all six blood values": ["s1", "s2", "s3", "s4", "s5", "s6"],
    }.items()
}
for name, result in found.items():
    print(f"{name}: {result}")

# sphinx_gallery_start_ignore
assert found["triglycerides"].difference < 0
assert found["triglycerides"].interval[1] < 0
assert found["age"].interval[1] > 0
assert found["all six blood values"].difference < 0
# sphinx_gallery_end_ignore

# %%
# Without any z, the first line; then what is left of it. The intervals of the estimates do not say whether two of them
# differ: both come from the same patients. The difference and its interval, printed above, do.

lines = {
    "nothing": next(iter(found.values())).unconditional,
    **{name: one.conditional for name, one in found.items()},
}
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for row, (name, one) in enumerate(lines.items()):
    colour = "#D17A00" if name == "nothing" else "#0072B2"
    axes.plot(one.interval, [row, row], color=colour, linewidth=2)
    axes.plot(one.mi, row, "o", color=colour)
axes.axvline(0, color="#262626", linewidth=0.8)
axes.set_yticks(range(len(lines)), [f"given {name}" for name in lines])
axes.invert_yaxis()
axes.set(xlabel="information of the body mass index (nats), 95 % interval")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What the numbers say, and what they do not
# ------------------------------------------
#
# - Part of what the body mass index says about the progression is also in the blood values, most clearly in the
#   triglycerides: that difference is below zero with its whole interval. Age explains none of it that could be seen in
#   442 patients.
# - None of this says what causes what. A common cause z and a step z on the way from x to y give the same numbers. And if
#   z is a common *effect* of x and y, knowing it makes dependence where there is none.
# - A confounder that was not measured, or measured with error, stays. Then I(X;Y|Z) is above zero and the estimate is
#   right, but x need not affect y.
# - An interval that contains zero is no proof that nothing is left. It says how much could be left.
#
# See :doc:`/conditional` for the method, its tests and its limits.
