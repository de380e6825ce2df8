"""Rows in time: lags between two series, transfer entropy, and networks of channels.

The tests of both are here, too. An estimate of rows in time without lags is in `estimation`, its
tests are in `inference.dependent_rows`.
"""
