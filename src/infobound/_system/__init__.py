"""Processes, files, memory and arguments: what every package needs from the machine.

Nothing here knows what mutual information is. Checks of arguments are in `arguments`, atomic files
and their schemas in `files` and `schemas`, locks on directories in `locks`, ranks that work
together in `distributed` and `row_groups`, memory-mapped rows in `memory`, and the caller's torch
state in `torch_state`.
"""
