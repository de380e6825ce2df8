"""Critics f(x, y): the contract, the networks, and the closed forms that a network starts from.

A new network goes into `networks`, a new closed form into `copulas` or `densities` with its line in
`closed_forms`. How a critic is trained is in `training`, how one is chosen in
`estimation.selection`.
"""
