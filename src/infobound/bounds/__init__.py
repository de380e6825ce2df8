"""Variational bounds on mutual information, as functions of log sums of scores.

InfoNCE and the others are in `variational`; `log_sums` has what they are functions of, and `tiled`
computes it for all pairs without holding the whole score matrix. No critic and no training is here.
"""
