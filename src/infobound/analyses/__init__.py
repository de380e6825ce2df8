"""Questions that are answered with several estimates; one file a question.

Comparison of two samples, invariance under changes of the rows, and calibration on rows with known
mutual information. A new question is one file here and one command in `cli.commands`.
"""
