"""Critics f(x, y): the contract, the networks, and the closed forms that a network starts from.

A new network goes into `networks`; a new closed form goes into `copulas` or `densities`, with an
entry in `closed_forms`. Critics are trained in `training` and selected in `estimation.selection`.
"""
