"""Variational bounds on mutual information, as functions of log sums of scores.

InfoNCE and the other bounds are in `variational`. `log_sums` defines the log sums that they are
functions of, and `tiled` computes these for all pairs without holding the whole score matrix. This
package contains no critics and no training.
"""
