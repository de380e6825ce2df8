"""
How much of a representation's information about labels can a linear classifier use?
====================================================================================

An embedding of an image can hold all that matters about its label and still be useless to a linear classifier. The
mutual information I(Z;Y) of a representation Z and labels Y is what *any* classifier could use. A probe is limited to
one kind of classifier, and shows what this kind can use.

The data are scikit-learn's digits: 1,797 images of 8 x 8 pixels.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

import infobound

images, labels = load_digits(return_X_y=True)

# %%
# Four representations
# --------------------
#
# Two and eight principal components, all pixels, and two columns that a network has *learnt* from labels. A learnt
# representation must be probed on rows that it was not trained on: it has memorised the labels of the others. So the
# network is trained on every other image, and all representations are probed on the images between them.

train, test = np.arange(len(images)) % 2 == 0, np.arange(len(images)) % 2 == 1
network = MLPClassifier(
    (64, 2, 64),
    activation="tanh",
    learning_rate_init=3e-3,
    tol=1e-3,
    max_iter=300,
    random_state=0,
)
network.fit(images[train] / 16, labels[train])


def learnt(rows):
    """Return the two columns in the middle of the network."""
    for weights, bias in list(
        zip(network.coefs_, network.intercepts_, strict=True)
    )[:2]:
        rows = np.tanh(rows @ weights + bias)
    return rows


representations = {
    "2 principal components": PCA(2, random_state=0)
    .fit(images[train])
    .transform(images[test]),
    "2 learnt columns": learnt(images[test] / 16),
    "8 principal components": PCA(8, random_state=0)
    .fit(images[train])
    .transform(images[test]),
    "all 64 pixels": images[test],
}

# %%
# Information and probes
# ----------------------
#
# `probe` estimates I(Z;Y), and the held-out value of two classifiers on the same folds: logistic regression ("linear")
# and a network with two hidden layers. ``critic="none"`` leaves out the search for a better network of our own, which
# takes longer and changes little here.

results = {
    name: infobound.probe(z, labels[test], critic="none", certify=False)
    for name, z in representations.items()
}
for name, result in results.items():
    print(f"{name:24} {result}")

# sphinx_gallery_start_ignore
value = {
    name: {probe.kind: probe.held_out for probe in result.probes}
    for name, result in results.items()
}
pca, own = value["2 principal components"], value["2 learnt columns"]
assert pca["linear"] < pca["network"] - 0.1
assert (
    results["2 learnt columns"].estimate.mi
    > results["2 principal components"].estimate.mi + 0.2
)
assert own["network"] - own["linear"] < 0.1
assert (
    abs(value["all 64 pixels"]["linear"] - value["all 64 pixels"]["network"]) < 0.1
)
assert all(
    abs(probe.permuted) < 0.15
    for result in results.values()
    for probe in result.probes
)
assert {result.estimate.verdict for result in results.values()} & {"series"}
# sphinx_gallery_end_ignore

# %%
# The line is the entropy of the labels, the most that anything can say about them.

names, places = list(results), np.arange(len(results))
series = {
    "linear probe": [results[name].probes[0].held_out for name in names],
    "network probe": [results[name].probes[1].held_out for name in names],
    "estimate of I(Z;Y)": [results[name].estimate.mi for name in names],
}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.2), layout="constrained", width_ratios=[1, 1.3]
)
left.scatter(
    *representations["2 learnt columns"].T, c=labels[test], cmap="tab10", s=9
)
left.set(
    title="2 learnt columns, coloured by digit",
    xlabel="first column",
    ylabel="second column",
)
for k, (label, values) in enumerate(series.items()):
    right.bar(
        places + 0.27 * (k - 1),
        values,
        0.25,
        label=label,
        color=["#9CCBE8", "#0072B2", "#D17A00"][k],
    )
right.axhline(result.entropy, color="#262626", linewidth=1, linestyle="--")
right.set_xticks(places, [name.replace(" ", "\n") for name in names])
right.set(ylabel="information about the digit (nats)", ylim=(0, 2.9))
right.legend(loc="upper left", frameon=False, ncols=3, fontsize=8)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What the numbers say, and what they do not
# ------------------------------------------
#
# - Two columns that were learnt say far more than two principal components. And a linear classifier can use nearly all of
#   it, because the network was trained so that its next layers can. Of two principal components it leaves out what a small
#   network uses: there, the classes are not separated by lines. In all pixels there is little difference.
# - MI is in nats: of 2.30 nats of entropy, each nat that is missing is a factor of e in the number of digits that are
#   still possible on average. It is not an accuracy.
# - The probes are lower bounds on average: a better classifier may find more. Where the labels are permuted, the probes
#   find nothing, as they should (``permuted`` in each probe).
# - I(X;Z) of an image and its embedding without noise is infinite, and no measure of compression. I(Z;Y) is finite.
# - The rows are not independent. The images of one writer follow each other in the file, and half of the images of
#   every writer trained the network. All of this is about *these* writers:

finding = results["all 64 pixels"].estimate.findings[0]
print(textwrap.fill(f"{finding.code}: {finding.message}", 84))

# %%
# For new writers, split by writer. Shuffling the rows would silence the finding, and the intervals would be as wrong as
# before.
