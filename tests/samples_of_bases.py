"""A small sample for each closed form, to which it can be fitted."""

import numpy as np


def sample_for(base, n=1500):
    """Return x and y; two folds of them are enough rows."""
    rng = np.random.default_rng(0)
    n = 4 * n if base == "finest_mixture" else n
    few = {"gaussians": 4, "gaussians_raw": 4, "projected": 4, "gaussian_shrunk": 400}
    x, noise = rng.normal(size=(2, n, few.get(base, 1 if base.endswith("mixture") else 2)))
    y = 0.8 * x + 0.6 * noise
    if base == "curved":
        return x, np.sin(3 * x[:, ::-1]) + y
    if base == "sheared":
        return np.column_stack([x[:, 0] + 2 * np.sin(3 * x[:, 1]), x[:, 1]]), y[:, :1]
    if base == "mean":
        return x, x[:, :1] * x[:, 1:] + 0.3 * noise[:, :1]
    if base == "ranks":
        return x[:, :1], y[:, :1]
    if base.startswith("gaussians"):
        return x, np.where(rng.random((n, 1)) < 0.5, 1, -1) * y
    if base in ("classwise", "posterior", "linear_probe", "network_probe"):
        return x, (y[:, :1] > 0).astype(float)
    if base == "table":
        return tuple(np.round(each[:, :1]).clip(-1, 1) for each in (x, y))
    return x, y
