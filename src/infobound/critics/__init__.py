"""Critics f(x, y): the contract that all of them meet, and the networks.

Critics that are fitted in closed form are in `models`.
"""
