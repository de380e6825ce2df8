"""Findings: problems of the data or of the estimate, and their remedies.

`data_checks` examines the rows alone. `findings` turns its results and the numbers of an estimate
into sentences with a severity. Nothing is estimated here.
"""
