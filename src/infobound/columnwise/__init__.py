"""Fast estimates for one column and another, for many pairs of columns.

`estimates` is the entry; `rank_combination` combines the network of `critics.ranks` with nearest
neighbours. Estimates of several columns at once are in `estimation`.
"""
