"""The training of a critic: loop, checkpoints, and the directory of a run."""
