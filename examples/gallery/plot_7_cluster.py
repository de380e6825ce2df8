"""
How many rows does an estimate need?
====================================

Where the truth is known, an estimate can be repeated on new samples of several sizes, and its errors counted. Such a study
consists of many independent estimates (tasks x estimators x sizes x seeds), so the machines of a cluster can share them.
Here the "cluster" is two processes of one machine, started by Dask; the address of a real one takes its place.
"""

import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from distributed import LocalCluster

from infobound.benchmark.study import study

# %%
# Three tasks of the BMI benchmark with one column on each side, two estimators, three sizes, four samples each: 72
# estimates. Nearest neighbours ("ksg") assume little; canonical correlations ("gaussian") assume that a map of each column
# makes both jointly normal.
#
# Each worker has one thread, so that results do not depend on the machine. Only this process writes files; the same call
# with the same folder continues after an interruption. The guard is needed in a script, which the workers of a
# `LocalCluster` import; in a notebook it is not.

if __name__ == "__main__":
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        result = study(
            "bmi",
            tasks=["1v1-a*", "1v1-b*"],
            out=f"{folder}/study",
            sizes=[100, 400, 1600],
            seeds=4,
            estimators=["gaussian", "ksg"],
            dask=cluster.scheduler_address,  # or tcp://10.0.0.5:8786
        )
    cells = pd.DataFrame([vars(row) for row in result.rows])
    cells["miss"] = (cells["mi"] - cells["truth"]).abs()
    table = cells.pivot_table("miss", ["task", "truth"], ["estimator", "n"]).round(
        3
    )
    print(len(cells), "estimates; mean absolute error in nats:")
    print(table)

    # sphinx_gallery_start_ignore
    assert len(cells) == 72
    mean = cells.groupby(["estimator", "n"])["miss"].mean()
    assert mean["ksg", 1600] < 0.6 * mean["ksg", 100]
    worst = cells.groupby(["estimator", "n", "task"])["miss"].mean()
    assert worst["gaussian", 1600].max() > 2 * worst["ksg", 1600].max()
    # sphinx_gallery_end_ignore

    figure, panels = plt.subplots(
        1, 2, figsize=(8, 3.4), layout="constrained", sharey=True
    )
    for axes, name in zip(panels, ["gaussian", "ksg"], strict=True):
        for (task, _), errors in table[name].iterrows():
            axes.plot(errors.index, errors, "o-", label=task)
        axes.set(
            title=name,
            xscale="log",
            yscale="log",
            xlabel="rows",
            xticks=[100, 400, 1600],
        )
        axes.set_xticklabels(["100", "400", "1,600"])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mean absolute error (nats)")
    panels[1].legend(frameon=False, fontsize=8)
    plt.show()

# %%
# On several machines
# -------------------
#
# .. code-block:: sh
#
#    pip install 'infobound[cluster]'                            # on every machine
#    dask scheduler                                              # on one of them; it says its address
#    dask worker tcp://10.0.0.5:8786 --nthreads 1 --nworkers 16  # on each of the others
#    infobound study bmi --sizes 1000 10000 --out runs/bmi --dask tcp://10.0.0.5:8786
#
# What the numbers say, and what they do not
# ------------------------------------------
#
# - With sixteen times as many rows, the errors of nearest neighbours are less than 60 % of what they were. Where the map to
#   normal columns does not exist, more rows do not help the Gaussian estimator: its error is then one of the model.
# - These are errors in *these* distributions. Yours is none of them: ``infobound.rehearse(x, y, dask=...)`` plants a known
#   MI in your own rows, and can use the same cluster (:doc:`/rehearse`).
# - Four samples show the size of an error, not more.
#
# Everything about clusters, and what happens if one of its machines fails: :doc:`/scale`.
