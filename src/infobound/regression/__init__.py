"""Regression of columns on given columns, and the residuals that it leaves.

Models of dependence that use regressions are in `models`. The folds that rows fall into are in
`data`.
"""
