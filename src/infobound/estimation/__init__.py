"""Estimation of I(X;Y): model selection, cross-fitting, combination of the folds, and the result.

The default estimator and its alternatives (nearest neighbours, Gaussian, Student-t) are here.
Analyses that need several estimates are in `analyses`.
"""
