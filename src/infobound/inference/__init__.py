"""Certified lower bounds, permutation and sequential tests, for scores of any critic.

The proofs are in docs/certificate.md and docs/independence.md. How an estimate makes the scores
that are tested is in `estimation.guarantees`.
"""
