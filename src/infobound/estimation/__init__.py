"""The estimate of I(X;Y): selection, cross-fitting, combination of the folds, and its result.

The default estimator and its alternatives (nearest neighbours, Gaussian, Student) are here.
Questions that need several estimates are in `analyses`.
"""
