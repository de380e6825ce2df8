"""Tasks with known mutual information, and studies of estimators on them.

`distributions` has the joint distributions, `tasks` the suites, `external` estimators of other
packages, `study` the tables of estimates, and `notebook` the InfoNCE experiment of the notebook.
"""
