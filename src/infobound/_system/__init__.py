"""Processes, files, memory and arguments: infrastructure for all other packages.

Nothing here depends on mutual information. Argument checks are in `arguments`, atomic files and
their schemas in `files` and `schemas`, locks on directories in `locks`, cooperating ranks in
`distributed` and `row_groups`, memory-mapped rows in `memory`, and the caller's torch state in
`torch_state`.
"""
