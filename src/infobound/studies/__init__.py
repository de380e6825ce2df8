"""Repeated estimates of samples with known mutual information: grids, accuracy, calibration.

What is estimated is given by the caller: tasks and other libraries' estimators are in `benchmark`,
parallel computation is in `runner`.
"""
