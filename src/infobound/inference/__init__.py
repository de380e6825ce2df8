"""Certified lower bounds, permutation tests and sequential tests for the scores of any critic.

The proofs are in docs/certificate.md and docs/independence.md. `estimation.guarantees` computes the
scores that an estimate tests.
"""
