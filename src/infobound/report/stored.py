"""Results on disk as pages of a report: run directories, studies, and JSON of the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from infobound._system import files
from infobound._system.units import Result, restore
from infobound.analyses.compare import Comparison
from infobound.analyses.interaction import Interaction
from infobound.analyses.probes import Probes
from infobound.analyses.subsampling import Subsampling, subsample
from infobound.benchmark.notebook import Demo, Reproduction
from infobound.bounds.variational import lookup
from infobound.data.pair import GIVEN, Pair, pair_arrays
from infobound.errors import InputError
from infobound.inference.certify import Guarantee
from infobound.pages.page import Page, Picture
from infobound.pages.presentable import Presentable
from infobound.plotting import figures
from infobound.results.estimate import Estimate
from infobound.series.lagged_pairs import LaggedPairs
from infobound.series.lags import Lags
from infobound.series.transfer import Storage, Transfer
from infobound.series.transfer_network import TransferNetwork
from infobound.studies.calibration import Rehearsal
from infobound.studies.grid import read_study
from infobound.tables.column_pairs import Pairwise
from infobound.tables.features import Selection
from infobound.training.run_directory import Run

__all__ = ["RESULTS", "expect_run", "pages", "parse", "rows_of"]


def _restored(kind: type[Result]) -> Callable[[Mapping[str, Any]], Any]:
    return partial(restore, kind)


RESULTS: dict[str, Callable[[Mapping[str, Any]], Presentable]] = {  # the first that fits is taken
    "estimate": _restored(Estimate),
    "compare": _restored(Comparison),
    "interaction": _restored(Interaction),
    "probe": _restored(Probes),
    "columns": _restored(Pairwise),
    "rehearse": Rehearsal.from_dict,
    "reproduce": _restored(Reproduction),
    "demo": _restored(Demo),
    "lags": _restored(Lags),
    "lagged_pairs": _restored(LaggedPairs),
    "transfer": _restored(Transfer),
    "transfer_network": _restored(TransferNetwork),
    "storage": _restored(Storage),
    "subsample": _restored(Subsampling),
    "select": _restored(Selection),
    "certify": _restored(Guarantee),
}


def parse(values: Any) -> Presentable:
    """Return the result whose `as_dict` was written as JSON.

    Raises:
        InputError: If it is none.

    Example:
        >>> parse({"unit": "nats", "certified": 0.5, "p_value": 0.01, "level": 0.95, "n": 100})
        Guarantee: I(X;Y) >= 0.500 nats at 95 %, p = 0.01, 100 rows
    """
    problems = {}
    for name, read in RESULTS.items():
        try:
            return read(values)
        except (ValueError, LookupError, TypeError) as error:
            problems[name] = str(error)
    raise InputError(
        "Expected the JSON of a result, as a command prints with --json or as_dict() returns; got "
        f"something else (as an estimate: {problems['estimate']}). Was it written by another "
        "version?"
    )


def pages(
    place: str | Path,
    *,
    units: str,
    parts: Sequence[int] = (),
    hooks: Mapping[str, Any] | None = None,
) -> list[Page]:
    """Return the pages of what is stored in a directory or a JSON file.

    Args:
        place: the directory of a run, a study or a rehearsal, or a file that ends in .json.
        units: "nats" or "bits".
        parts: numbers of parts of the rows of a run, for a subsampling figure; none by default.
        hooks: the keywords `watch` and `stop` of the estimates of parts.

    Raises:
        InputError: If there is no result, it is damaged, or there are too few rows to divide.
    """
    path = Path(place)
    if (path / "run.json").exists():
        return _run(Run.open(path), units, parts, hooks or {})
    if (path / "rehearse.json").exists():
        return [_page(path / "rehearse.json", units)]
    if (path / "study.json").exists():
        return [read_study(path).page(units)]
    if path.suffix != ".json":
        raise InputError(
            f"Expected a run directory, or a file ending in .json that a command printed with "
            f"--json; got {place}. Make one with infobound estimate ... --run DIR."
        )
    return [_page(path, units)]


def expect_run(places: Sequence[str | Path]) -> None:
    """Check that there is a run among some places, as a subsampling figure needs.

    Raises:
        InputError: If there is none.
    """
    if not any((Path(place) / "run.json").exists() for place in places):
        raise InputError(
            f"Expected a run directory for --subsample, which needs the rows; got "
            f"{', '.join(map(str, places))}. Make one with infobound estimate ... --run DIR."
        )


def _page(path: Path, units: str) -> Page:
    """Return the page of a result in a JSON file, with the command that printed it."""
    try:
        values = files.read_json(path)
    except OSError as error:
        raise InputError(f"Expected the file {path}; {error.strerror}. Check the name.") from error
    try:
        page = parse(values).page(units)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    command = values.get("command")
    if not isinstance(command, str):
        return page
    return replace(page, repeat={"On the command line:": command, **page.repeat})


def _run(run: Run, units: str, parts: Sequence[int], hooks: Mapping[str, Any]) -> list[Page]:
    """Return the pages of a run, with figures of its rows and its training."""
    if not run.is_complete:
        raise InputError(
            f"Expected a run that is complete; {run.path} has no result yet. Continue it with: "
            f"infobound resume {run.path}"
        )
    found = parse(run.read_json("result.json"))
    if not isinstance(found, Estimate):
        page = found.page(units)
        return [replace(page, pictures=(*page.pictures, *_curves(run, None, units)))]
    pair = rows_of(run)
    page = found.page(units, rows=pair)
    page = replace(
        page,
        pictures=(*page.pictures, *_curves(run, found, units)),
        repeat={"With the rows of the run:": _code(run, page), **page.repeat},
    )
    if not parts:
        return [page]
    return [page, subsample(pair, own=found, parts=parts, **hooks).page(units)]


@dataclass(frozen=True)
class _Record:
    """The fields of `run.json` that a report reads."""

    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...]
    given_names: tuple[str, ...] = ()


def rows_of(run: Run) -> Pair:
    """Return the rows of a run.

    Raises:
        InputError: If they are missing or damaged.
    """
    record, rows = run.settings(_Record), run.load_rows("rows")
    names = {"x": record.x_names, "y": record.y_names}
    if record.given_names:
        names[GIVEN] = record.given_names
    rows = {side: rows[side] for side in (*names, *rows) if side in rows}
    if {side: values.shape[1] for side, values in rows.items()} != {
        side: len(columns) for side, columns in names.items()
    }:
        raise InputError(
            f"Expected the columns of run.json in {run.path / 'rows.safetensors'}; got others. "
            "Restore both from a copy."
        )
    return pair_arrays(rows, names=names, notes=record.notes, source=str(run.path))


def _code(run: Run, page: Page) -> str:
    """Return Python code that repeats the estimate with the rows of the run."""
    call = next(iter(page.repeat.values())).splitlines()[-1]
    call = call.replace("given=given", "given=rows['given']").replace(
        "(x, y", "(rows['x'], rows['y']"
    )
    return (
        "import infobound\nfrom safetensors.numpy import load_file\n"
        f"rows = load_file({str(run.path / 'rows.safetensors')!r})\n{call}"
    )


def _curves(run: Run, result: Estimate | None, units: str) -> list[Picture]:
    """Return the figure of the training of the first network, if one was trained."""
    import pandas as pd

    path = run.path / "metrics.csv"
    if not path.is_file():
        return []
    try:
        table = pd.read_csv(path)
    except ValueError:  # an empty table, or a damaged one; the result itself is complete
        return []
    if "fold" in table:
        table = table[table["fold"] == table["fold"].min()]
    columns = ("iteration", "train", "validation")
    if table.empty or not {*columns} <= {*table}:
        return []
    history = {name: table[name].to_numpy(np.float64) for name in columns}
    held = "held-out" if result is None else "validation"
    title = "Training" if result is None else f"{lookup(result.bound).title}, fold 1"
    return [
        Picture(
            "training",
            f"The bound during the training of the first network, on training and on {held} rows.",
            partial(
                figures.training_curve,
                history,
                title=title,
                ceiling=None if result is None else result.ceiling,
                held_name=held,
                unit=units,
            ),
        )
    ]
