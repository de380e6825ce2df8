"""Columns of a frame as numbers: what is a number, what is a category, what is neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVELS", "numbers"]

LEVELS = 20  # levels of a text column that are always believed to be categories


def numbers(side: str, frame: pd.DataFrame) -> tuple[np.ndarray, list[str], list[str]]:
    """A frame without missing values as float64 columns, categories one-hot encoded.

    With them their names and what is to be said about them; `side` is x or y.

    Raises:
        InputError: times, complex numbers, integers that float64 merges, text that is no category.

    Example:
        >>> import pandas as pd
        >>> numbers("x", pd.DataFrame({"sex": ["f", "m", "f"]}))[1:]
        (['sex=m'], ['x: sex has 2 categories, one-hot encoded into 1 column.'])
    """
    import pandas as pd

    columns: list[np.ndarray] = []
    names: list[str] = []
    notes: list[str] = []
    for name in frame.columns:
        values = frame[name]
        kind = values.dtype
        if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
            raise InputError(
                f"Expected numbers or categories in column {name}; got times. Turn them into "
                "numbers that mean something here, such as hours since the start."
            )
        if pd.api.types.is_complex_dtype(kind):
            raise InputError(
                f"Expected real numbers in column {name}; got complex ones. Give the real and the "
                "imaginary part as two columns."
            )
        if pd.api.types.is_numeric_dtype(kind):  # bool counts as a number here
            numbers = values.to_numpy(dtype=np.float64)
            if np.abs(numbers).max() >= 2**53 and len(np.unique(numbers)) < values.nunique():
                raise InputError(
                    f"Expected numbers that float64 tells apart in column {name}; got integers "
                    "beyond 2^53. Leave an identifier out; subtract the smallest from a time."
                )
            columns.append(numbers)
            names.append(name)
            continue
        text = values.astype(str).str.strip()
        parsed = pd.to_numeric(text, errors="coerce")
        numeric = ~parsed.isna().to_numpy()
        is_category = isinstance(kind, pd.CategoricalDtype)
        if not is_category and numeric.all():
            columns.append(parsed.to_numpy(dtype=np.float64))
            names.append(name)
            continue
        if not is_category and numeric.mean() >= 0.5:
            wrong = np.flatnonzero(~numeric)
            where = ", ".join(f"{text.iloc[i]!r} in row {frame.index[i] + 1}" for i in wrong[:3])
            raise InputError(
                f"Expected numbers in column {name}; got text in {len(wrong):,} of {len(text):,} "
                f"rows: {where}. Correct those cells, or leave them empty and use --drop-missing."
            )
        levels = sorted(text.unique())
        if len(levels) > max(LEVELS, len(text) // 20):
            raise InputError(
                f"Expected categories or numbers in text column {name}; got {len(levels):,} "
                f"different texts in {len(text):,} rows. It looks like an identifier: leave it out."
            )
        shown = levels[1:] if len(levels) == 2 else levels  # two levels need one column
        columns += [(text == level).to_numpy(dtype=np.float64) for level in shown]
        names += [f"{name}={level}" for level in shown]
        count = f"{len(shown)} column" + ("s" if len(shown) != 1 else "")
        notes.append(f"{side}: {name} has {len(levels)} categories, one-hot encoded into {count}.")
    return np.stack(columns, axis=1), names, notes
