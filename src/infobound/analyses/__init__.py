"""Analyses that need several estimates; one file per question.

They are the comparison of two samples, invariance under changes of the rows, and calibration on
rows with known mutual information. A new analysis is a file here and a command in `cli.commands`.
"""
