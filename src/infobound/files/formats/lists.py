"""Columns of lists of numbers, such as embeddings, as several columns: `z` becomes `z[0]`, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from infobound.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Element", "elements", "is_list_of_numbers", "pick", "width"]


class Element(NamedTuple):
    """A column, or an element of a column of lists.

    Attributes:
        column: the name of the column.
        at: the index of the element; None for a column without lists.
        width: the number of elements of each list.
    """

    column: str
    at: int | None = None
    width: int = 0


def is_list_of_numbers(kind: pa.DataType) -> bool:
    """Return whether a type is that of lists of numbers.

    Example:
        >>> import pyarrow as pa
        >>> is_list_of_numbers(pa.list_(pa.float32())), is_list_of_numbers(pa.string())
        (True, False)
    """
    import pyarrow.types as kinds

    lists = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return lists and (kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type))


def width(column: Any) -> int:
    """Return the length of the first list of an Arrow column; 0 if there is none.

    Example:
        >>> import pyarrow as pa
        >>> width(pa.array([None, [1, 2]]))
        2
    """
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).drop_null()
    return int(lengths[0].as_py()) if len(lengths) else 0


def elements(columns: Iterable[str], widths: Mapping[str, int]) -> list[tuple[str, Element]]:
    """Return the names of columns and of the elements of lists, and what each stands for.

    Args:
        columns: the names of the columns of a table.
        widths: the number of elements of each list, by column.

    Example:
        >>> [name for name, _ in elements(["z", "label"], {"z": 2})]
        ['z[0]', 'z[1]', 'label']
    """
    found = []
    for name in columns:
        count = widths.get(name, 0)
        if count:
            found += [(f"{name}[{k}]", Element(name, k, count)) for k in range(count)]
        else:
            found.append((name, Element(name)))
    return found


def pick(column: Any, element: Element) -> Any:
    """Return a column, or an element of each of its lists.

    Args:
        column: the array or chunked array of Arrow.
        element: the element.

    Raises:
        InputError: If lists have another length.

    Example:
        >>> import pyarrow as pa
        >>> pick(pa.array([[1, 2], [3, 4]]), Element("z", 1, 2)).to_pylist()
        [2, 4]
    """
    if element.at is None:
        return column
    import pyarrow.compute as pc

    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    other = [length for length in lengths if length != element.width]
    if other:
        raise InputError(
            f"Expected lists of equal length in column {element.column}; got {element.width} and "
            f"{other[0]} elements. Pad or cut them, or leave the column out."
        )
    return pc.list_element(column, element.at)
