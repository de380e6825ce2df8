"""Closed-form models of the dependence of x and y; each is also a critic with an exact log ratio.

`closed_forms` is the table from which a network starts and with which it competes. Networks and the
contract of critics are in `critics`.
"""
