"""What an estimate returns, and how it is shown: the class `Estimate`, its page and its figures.

Nothing here computes an estimate. Results of other analyses are in `analyses`.
"""
