"""Conversion of containers to arrays or frames: the entry point for data that is not in files.

A container is recognised by its class, never by its attributes; everything else goes through
NumPy's conversion. An object of a package exists only if that package is imported, so none is
imported to check. Values are validated elsewhere: their types in `encoding`, missing and infinite
ones in `pair`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from infobound._system.memory import fits_in_memory
from infobound.data.encoding import EXACT
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_array", "as_rows", "expect_unicode", "have_different_indexes"]

SCALARS = frozenset({bool, bytes, complex, float, int, str, type(None)})


@runtime_checkable
class _Table(Protocol):
    """A table of another library that converts to pandas: polars, pyarrow, xarray and others."""

    def to_pandas(self) -> Any:
        """Convert to an object of pandas."""


def as_rows(side: str, values: Any) -> tuple[pd.DataFrame | np.ndarray, tuple[str, ...]]:
    """Convert any container to a frame or an array (n, d).

    An array (n,) becomes one column; more than two dimensions are flattened, with a note.

    Args:
        side: the name of the container in messages.
        values: the container.

    Returns:
        The rows, and notes about the conversion.

    Raises:
        InputError: If the container has no rows of numbers or text, for example a scalar, a ragged
            list, an iterator, or times.

    Example:
        >>> as_rows("x", range(3))[0].shape, as_rows("x", {"a": [1, 2], "b": [3, 4]})[0].shape
        ((3, 1), (2, 2))
    """
    found = _converted(side, values)
    if not isinstance(found, np.ndarray):
        return _named(side, found), ()
    kind = found.dtype.kind
    if kind in "mM":
        raise InputError(
            f"Expected numbers or categories in {side}; got times. Turn them into numbers that "
            "mean something here, such as hours since the start."
        )
    if kind == "c":
        raise InputError(
            f"Expected real numbers in {side}; got complex ones. Give the real and the imaginary "
            "part as two columns."
        )
    if found.ndim == 0 or kind not in "biufUSTO":
        got = type(values).__name__
        if isinstance(values, np.ndarray | np.generic):
            got = f"{found.dtype} of shape {found.shape}"
        raise InputError(
            f"Expected numbers in {side}, shape (n,) or (n, columns); got {got}. Convert it to a "
            "numeric array."
        )
    if kind == "U":
        found = expect_unicode(side, found)
    elif kind == "S":
        found = _decoded(side, found)
    elif kind == "T":
        found = found.astype(object)
    elif kind in "iu" and not found.dtype.isnative:
        found = found.astype(found.dtype.newbyteorder("="))
    if found.ndim == 1:
        return found[:, None], ()
    if found.ndim == 2:
        return found, ()
    shape = found.shape[1:]
    found = found.reshape(len(found), math.prod(shape))
    return found, (f"{side}: each row of shape {shape} flattened into {found.shape[1]} columns.",)


def as_array(name: str, values: Any) -> np.ndarray:
    """Convert real numbers of any shape, such as scores, to an array; masked values become nan.

    float32 is kept; all other types become float64.

    Args:
        name: the name of the values in messages.
        values: the values.

    Raises:
        InputError: If the values are not real numbers.

    Example:
        >>> as_array("scores", [[1, 2], [3, 4]]).shape
        (2, 2)
    """
    found = _converted(name, values)
    if not isinstance(found, np.ndarray):
        found = np.asarray(found)
    try:
        if found.dtype.kind not in "biufO":
            raise TypeError(f"{found.dtype} is no type of real numbers")
        kept = found.dtype in (np.float32, np.float64)
        return found if kept else found.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"Expected real numbers as {name}; got something else ({error}). Give a numeric array."
        ) from error


def have_different_indexes(x: Any, y: Any) -> bool:
    """Return whether both are pandas frames or series with different indexes.

    Example:
        >>> import pandas as pd
        >>> have_different_indexes(pd.Series([1, 2]), pd.Series([1, 2], index=[5, 6]))
        True
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return False
    indexed = (pandas.DataFrame, pandas.Series)
    both = isinstance(x, indexed) and isinstance(y, indexed)
    return both and not x.index.equals(y.index)


def _converted(side: str, values: Any) -> Any:
    """Convert to an array of any shape or an object of pandas; errors become `InputError`."""
    if isinstance(values, Iterator | Set):
        raise InputError(
            f"Expected rows in {side} with a length and an order; got "
            f"{type(values).__name__}. Make a list of it: list(...)."
        )
    try:
        return _unpacked(values)
    except InputError:
        raise
    except Exception as error:  # a foreign __array__ may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(values, list | tuple) and isinstance(error, ValueError):
            raise InputError(
                f"Expected rows of equal length in {side}; got a ragged list ({reason}). Give "
                "every row the same columns."
            ) from error
        raise InputError(
            f"Expected rows in {side} that NumPy can read; got {type(values).__name__}, which "
            f"cannot be converted ({reason}). Convert it to a NumPy array or a pandas frame."
        ) from error


def _unpacked(values: Any) -> Any:
    pandas, sparse = sys.modules.get("pandas"), sys.modules.get("scipy.sparse")
    if pandas is not None:
        if isinstance(values, pandas.DataFrame | pandas.Series | pandas.Index):
            return values
        if isinstance(values, pandas.api.extensions.ExtensionArray):
            return pandas.Series(values)
    if sparse is not None and sparse.issparse(values):
        if not fits_in_memory(values.shape[0], math.prod(values.shape[1:])):
            raise InputError(
                f"Expected a sparse matrix that fits in memory when dense; got shape "
                f"{values.shape}. Select or project its columns, then use .toarray()."
            )
        return values.toarray()
    if isinstance(values, Mapping) and not _is_of("xarray", "Dataset", values):
        return _beside({name: _array(column) for name, column in values.items()})
    if _is_of("xarray", "Dataset", values):
        return _beside({name: _labelled(values[name]) for name in values.data_vars})
    if _is_of("xarray", "DataArray", values) and values.ndim < 3:
        return _labelled(values)
    if _is_of("polars", "LazyFrame", values):
        values = values.collect()
    if isinstance(values, _Table):
        try:
            return _unpacked(values.to_pandas())
        except Exception:  # for example a three-dimensional array of xarray
            return np.asarray(values)
    array = _array(values)
    if array.dtype.names:
        import pandas as pd

        return pd.DataFrame({name: _array(values[name]) for name in array.dtype.names})
    return array


def _is_of(package: str, kind: str, values: Any) -> bool:
    """Return whether values are of a class of a package, which is not imported for that."""
    module = sys.modules.get(package)
    return module is not None and isinstance(values, vars(module)[kind])


def _labelled(values: Any) -> Any:
    """Convert an array of xarray to pandas; columns have their labels, or the array's name."""
    found: Any = values.to_pandas() if values.ndim in (1, 2) else np.asarray(values)
    if values.ndim == 2 and not all(isinstance(label, str) for label in found.columns):
        name = values.dims[1] if values.name is None else values.name
        found = found.set_axis([f"{name}[{label}]" for label in found.columns], axis=1)
    return found


def _beside(columns: Mapping[Any, Any]) -> pd.DataFrame:
    """Put columns (n,), and several at once (n, d), side by side: `z` becomes `z[0]`, ..."""
    import pandas as pd

    found: dict[Any, Any] = {}
    for name, values in columns.items():
        if np.ndim(values) != 2:
            found[name] = np.asarray(values) if np.ndim(values) == 1 else values
            continue
        labels = values.columns if isinstance(values, pd.DataFrame) else range(values.shape[1])
        own = [
            label if str(label).startswith(f"{name}[") else f"{name}[{label}]" for label in labels
        ]
        found |= dict(zip(own, np.asarray(values).T, strict=True))
    return pd.DataFrame(found)


def _array(values: Any) -> np.ndarray:
    """Convert values that are no table to an array; masked values become missing."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.itemsize < 4 else values
        return np.asarray(values.to_dense().resolve_conj().resolve_neg().numpy())
    if isinstance(values, np.ma.MaskedArray):
        return _filled(values)
    if not isinstance(values, list | tuple):
        return np.asarray(values)
    values = _leaves(values)
    array = np.asarray(values)
    if array.dtype.kind == "f" and float(np.abs(array).max(initial=0)) >= EXACT:
        return np.asarray(values, dtype=object)  # large integers may have been rounded
    if array.dtype.kind in "US":
        return np.asarray(values, dtype=object)  # numbers beside text have become text
    return array


def _leaves(values: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    """Replace tensors, masked arrays and similar objects in a list by arrays."""
    if set(map(type, values)) <= SCALARS:
        return values
    return [_leaf(value) for value in values]


def _leaf(value: Any) -> Any:
    if type(value) in SCALARS or value is np.ma.masked:
        return None if value is np.ma.masked else value
    if isinstance(value, list | tuple):
        return _leaves(value)
    array = _array(value)
    if array.ndim:
        return array
    return value if array.dtype == object else array[()]


def _filled(values: np.ma.MaskedArray) -> np.ndarray:
    """Fill a masked array with nan or None."""
    plain, mask = values.data, np.ma.getmaskarray(values)
    if plain.dtype.names or not mask.any():
        return np.asarray(plain)
    exact = plain.dtype.kind == "f" or (plain.dtype.kind in "biu" and plain.itemsize < 8)
    filled = plain.astype(np.float64 if exact else object)
    filled[mask] = np.nan if exact else None
    return np.asarray(filled)


def _decoded(side: str, array: np.ndarray) -> np.ndarray:
    """Decode bytes as UTF-8 text."""
    try:
        return np.asarray(np.char.decode(array, "utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected text in UTF-8 in {side}; got other bytes. Decode them first, as in "
            'numpy.char.decode(values, "latin-1").'
        ) from error


def expect_unicode(name: str, array: np.ndarray) -> np.ndarray:
    """Check that text in an array has valid Unicode code points, and return the array.

    Raises:
        InputError: If a code point is invalid, as in a damaged file.

    Example:
        >>> expect_unicode("x", np.array(["a", "b"])).tolist()
        ['a', 'b']
    """
    if array.dtype.kind == "U" and array.size:
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        if (native.view(np.uint32) > sys.maxunicode).any():
            raise InputError(
                f"Expected text in Unicode in {name}; got numbers that are no characters. The "
                "values are damaged: make them again from their source."
            )
    return array


def _name(name: Any, otherwise: str) -> Any:
    """Return the name of a series, or `otherwise` if it has none."""
    import pandas as pd

    return otherwise if pd.api.types.is_scalar(name) and pd.isna(name) else name or otherwise


def _named(side: str, values: Any) -> pd.DataFrame:
    """Convert an object of pandas to a frame with unique text names and rows counted from 0."""
    import pandas as pd

    if isinstance(values, pd.MultiIndex):
        frame = values.set_names(range(values.nlevels)).to_frame(index=False)
        names = [_name(name, f"{side}[{k}]") for k, name in enumerate(values.names)]
        frame = frame.set_axis(names, axis=1)
    elif isinstance(values, pd.DataFrame):
        frame = values
    else:
        frame = pd.DataFrame({_name(values.name, side): pd.Series(values)})
    frame = frame.reset_index(drop=True)
    frame = _lists_apart(frame.set_axis([str(c) for c in frame.columns], axis=1))
    if not frame.columns.is_unique:
        doubles = ", ".join(sorted(set(frame.columns[frame.columns.duplicated()])))
        raise InputError(
            f"Expected different column names in {side}; got {doubles} more than once. "
            "Rename the columns."
        )
    return frame


def _lists_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each element of columns of lists of numbers, such as embeddings, its own column."""
    import pandas as pd

    parts, found = [], False
    for k in range(frame.shape[1]):
        column = frame.iloc[:, k]
        rows = _stacked(column) if column.dtype == np.dtype(object) else None
        found |= rows is not None
        if rows is None:
            parts.append(column)
        else:
            names = [f"{column.name}[{k}]" for k in range(rows.shape[1])]
            parts.append(pd.DataFrame(rows, columns=names))
    return pd.concat(parts, axis=1) if found else frame


def _stacked(column: pd.Series) -> np.ndarray | None:
    """Stack lists of equally many numbers as (n, d); None if cells are anything else."""
    whole = column.notna().to_numpy()
    cells = column[whole].tolist()
    if not {type(cell) for cell in cells} <= {list, np.ndarray}:
        return None
    try:
        rows = np.array(cells)
    except ValueError:
        return None
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "iuf":
        return None
    if whole.all():
        return rows
    spread = np.full((len(column), rows.shape[1]), np.nan)
    spread[whole] = rows
    return spread
