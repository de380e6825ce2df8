"""The training of a critic: loop, optimisers, checkpoints, and the directory of a run."""
