"""Tasks with known mutual information, and studies of estimators on them.

`distributions` has the joint distributions, `tasks` the suites, `external` other people's
estimators, `study` the tables, and `notebook` the InfoNCE experiment on one pair with its truth.
"""
