"""Findings: what is wrong with the rows or the estimate, and what to do about it.

`data_checks` looks at the rows alone; `findings` turns what it sees, and the numbers of an
estimate, into sentences with a severity. Nothing is estimated here.
"""
