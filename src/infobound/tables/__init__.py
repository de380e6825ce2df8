"""Many columns: mutual information of pairs of columns, their tests, and the selection of columns.

`estimates` and `column_tests` compute, `pairwise` and `features` answer questions, `column_pairs`
holds the results. An accurate estimate of one pair of samples is in `estimation`.
"""
