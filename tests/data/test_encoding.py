"""Columns as numbers: amounts, categories, and what is neither."""

import datetime

import numpy as np
import pandas as pd
import pytest

from infobound.data import encoding
from infobound.errors import InputError


def column(values, **settings):
    return encoding.numbers("x", pd.DataFrame({"c": values}), **settings)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12.5%", "-3%", "0 %"], [12.5, -3, 0]),
        (["0.125%", "10.5%", "3.250%"], [0.125, 10.5, 3.25]),
        (["$1,234.50", "-$999", "$-7.25"], [1234.5, -999, -7.25]),
        (["$12,000", "$950", "$1,250,000"], [12000, 950, 1250000]),
        (["£1,234", "£999", "£1"], [1234, 999, 1]),
        (["1.234 €", "999 €", "1 €"], [1234, 999, 1]),  # no currency has three decimals
        (["1.234,50 €", "99,5 €", "1 €"], [1234.5, 99.5, 1]),
        (["1,234.5", "12", "999.25"], [1234.5, 12, 999.25]),
        (["1,234,567", "12", "1,000"], [1234567, 12, 1000]),
        (["1,5", "2,25", "-3,125"], [1.5, 2.25, -3.125]),
        ([" 1.5 ", "2", "-3e2"], [1.5, 2, -300]),
    ],
)
def test_amounts_are_read_where_there_is_one_reading(cells, numbers):
    values, names, notes = column(cells, untyped=True)
    assert names == ["c"]
    assert values[:, 0].tolist() == numbers
    assert column(cells, numeric=["c"])[0].tolist() == values.tolist()
    assert column(cells)[1][-1] == f"c={max(cells).strip()}"  # text with a type stays text
    assert ("read as numbers" in "".join(notes)) == any(set(cell) & set("%$£€,") for cell in cells)


def test_a_separator_that_may_be_either_is_not_guessed():
    with pytest.raises(InputError, match="'1,234' in row 2"):
        column(["999", "1,234", "12"], untyped=True)
    with pytest.raises(InputError, match="numbers within text, such as '1,200'"):
        column([f"{k},200" for k in range(1, 40)] + ["7"])
    with pytest.raises(InputError, match="'12%' in row 2"):  # per cent or not
        column(["5", "12%", "7"], untyped=True)


def test_a_named_quantity_that_is_none_is_said_with_column_value_and_count():
    cells = ["7"] * 3 + ["low", "high"] * 5
    with pytest.raises(
        InputError, match=r"in column c; got text in 10 of 13 rows: 'low' in row 4, 'high' in row 5"
    ) as caught:
        column(cells, numeric=["c"])
    assert "categorical= (--categorical)" in str(caught.value)
    assert column(cells, untyped=True)[0].shape == (13, 3)  # most are no numbers: categories
    mixed = ["7", "8", "A"]
    with pytest.raises(InputError, match=r"'A' in row 3\. .*--na A.* or name a column of codes"):
        column(mixed, untyped=True)
    assert column(mixed, untyped=True, categorical=["c"])[1] == ["c=7", "c=8", "c=A"]


def test_declared_categories_are_never_read_as_numbers():
    values, names, _ = column(pd.Categorical(["10%", "20%", "20%"]))
    assert names == ["c=20%"]
    assert values[:, 0].tolist() == [0, 1, 1]
    assert column(pd.Categorical([3, 1, 2]))[1] == ["c=1", "c=2", "c=3"]
    assert column(pd.Categorical([3.0, 1.5, 3.0]), untyped=True)[1] == ["c=3"]


@pytest.mark.parametrize("declared", [False, True])
def test_categories_are_texts_that_repeat(declared):
    rng = np.random.default_rng(0)
    for n, levels in ((800, 50), (3000, 256), (100, 30), (20, 20)):
        codes = np.r_[np.arange(levels), rng.integers(0, levels, n - levels)]
        cells = pd.Series([f"S{code:03d}" for code in codes])
        values, names, notes = column(cells.astype("category") if declared else cells)
        assert names == [f"c=S{k:03d}" for k in range(levels)]
        assert np.array_equal(values.argmax(axis=1), codes)
        assert (values.sum(axis=1) == 1).all()
        assert notes == [
            f"x: c has {levels} categories, one-hot encoded into {levels} columns.",
        ]


@pytest.mark.parametrize("levels", [300, 501, 999])
def test_a_declared_category_is_one_up_to_the_number_of_rows(levels):
    codes = np.r_[np.arange(levels), np.random.default_rng(0).integers(0, levels, 1000 - levels)]
    text = pd.Series([f"S{code:03d}" for code in codes])
    for values in (
        column(text.astype("category"))[0],
        column(text, categorical=["c"])[0],
        column(pd.Series(codes), categorical=["c"])[0],
        column(pd.Series(codes + 2**60), categorical=["c"])[0],
    ):
        assert values.shape == (1000, levels)
        assert (values.sum(axis=1) == 1).all()


def test_texts_that_hardly_repeat_name_the_limit_and_the_way_out():
    cells = pd.Series([f"S{k // 2 * 2 if k < 90 else k}" for k in range(100)])
    cells[:60] = [f"S{k}" for k in range(60)]
    with pytest.raises(
        InputError, match=r"85 different texts in 100 rows; up to 50 would be.*--categorical"
    ):
        column(cells)
    assert column(cells, categorical=["c"])[0].shape == (100, 85)
    with pytest.raises(InputError, match=r"repeat in column c; got 100 different ones in 100 rows"):
        column([f"S{k}" for k in range(100)], categorical=["c"])
    numbers = [f"{k / 8}" for k in range(100)]
    with pytest.raises(
        InputError, match=r"numbers as text, such as '0\.0', 100 different.*numeric="
    ):
        column(numbers)
    assert column(numbers, numeric=["c"])[0][:, 0].tolist() == [k / 8 for k in range(100)]


def test_more_categories_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(encoding, "fits_in_memory", lambda n, width: width < 3)
    assert column(list("abab"))[0].shape == (4, 1)
    with pytest.raises(InputError, match=r"fit in memory as columns of 6 rows; got 3\. Merge"):
        column(list("abcabc"))


def test_more_than_a_thousand_categories_are_refused():
    cells = [f"S{k % 1001}" for k in range(3003)]
    assert column([f"S{k % 1000}" for k in range(3000)])[0].shape == (3000, 1000)
    for names in ((), ("c",)):
        with pytest.raises(InputError, match=r"1,001.*Merge|1,001.*merge"):
            column(cells, categorical=names)


DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=7 * k) for k in range(60)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([str(day) for day in DAYS], "dates or times as text, such as '2024-01-01'.*to_datetime"),
        ([f"{day:%d.%m.%Y %H:%M}" for day in DAYS], "dates or times as text"),
        ([f"{day:%d %b %Y}" for day in DAYS], "dates or times as text"),
        ([f"{day:%B %d, %Y}" for day in DAYS], "dates or times as text"),
        ([f"{k // 60}:{k % 60:02d}:00" for k in range(60)], "dates or times as text"),
        (DAYS, "column c; got times"),
        ([f"[{k}, 2]" for k in range(60)], "lists or intervals as text"),
        ([(k, 2) for k in range(60)], "cells of type tuple"),
        (pd.arrays.IntervalArray.from_breaks(range(61)), "lists or intervals"),
        ([f"{k}.5 kg" for k in range(60)], "numbers within text, such as '0.5 kg'"),
        ([f"EUR {k}" for k in range(60)], "numbers within text, such as 'EUR 0'"),
        ([f"patient {k}" for k in range(60)], "60 different texts in 60 rows.* identifier"),
    ],
)
def test_what_many_texts_are_is_said(cells, said):
    with pytest.raises(InputError, match=said):
        column(cells)


def test_a_part_of_the_rows_is_numbers():
    assert column([1, 2], categories=False)[0].tolist() == [[1], [2]]
    for cells in (["u", "v"], ["1", "2"]):
        with pytest.raises(InputError, match="numbers in column c of x; got text"):
            column(cells, categories=False)
