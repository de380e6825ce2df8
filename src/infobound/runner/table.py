"""A table of records that is computed in parallel and may be resumed from a directory."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from infobound._system import locks
from infobound._system.versions import versions
from infobound.errors import InputError
from infobound.runner import compute, dask_cluster
from infobound.runner.compute import Progress, Work
from infobound.runner.store import Store

__all__ = ["computed"]

Key = TypeVar("Key")
Record = TypeVar("Record")


def computed(
    work: Work[Key, Record],
    keys: Mapping[str, Key],
    kind: type[Record],
    file_name: Callable[[Record], str],
    *,
    files: Sequence[str] = (),
    problem: Callable[[Mapping[str, Any], Record], str] = lambda identity, record: "",
    described: Callable[[Record], str] | None = None,
    out: str | Path | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> dict[str, Record]:
    """Compute one record for each key, in processes or on a cluster.

    Args:
        work: the functions that define the table.
        keys: the keys by the file name of their record.
        kind: the dataclass of a record.
        file_name: returns the file name of a record.
        files: names of files that the caller will write to `out`.
        problem: describes a value that no record computed here can have; empty if there is none.
        described: says which pair a record is of. Then `out` may have records of other pairs, so
            that a table of more columns extends it; by default it may not.
        out: the directory; records that are there already are not computed again. None for a
            temporary one.
        jobs: the number of processes; by default one per core.
        dask: the address of a Dask scheduler whose workers compute instead.
        overwrite: whether to delete an earlier table in `out`.
        watch: called with a `Progress` after each record.

    Returns:
        The records by file name, in the order of the keys.

    Raises:
        InputError: If records in `out` have other settings or rows, another process writes to it,
            or a cluster cannot be used.
    """
    with (
        compute.executor(
            jobs=jobs, dask=dask, needs=functools.partial(dask_cluster.about, ())
        ) as by,
        _directory(out) as path,
        locks.held(path),
    ):
        store = Store(path, kind, file_name, problem, tuple(files))
        names = store.prepare(files, overwrite=overwrite)
        for name, (identity, record) in store.records().items():
            ours = work.identity(keys[name]) if name in keys else {}
            if described is None:
                _expect_same(identity, ours, path)
            elif ours and ours != identity:
                raise InputError(
                    "Expected the pairs in out to be of these rows and settings; got others for "
                    f"{described(record)}. Name another out, or compute all anew with overwrite "
                    "(--overwrite)."
                )
        store.write_label({"versions": versions(), "files": names})
        compute.run(work, keys, store, by, watch=watch)
        found = store.records()
        return {name: found[name][1] for name in keys}


@contextlib.contextmanager
def _directory(out: str | Path | None) -> Iterator[Path]:
    """Provide the directory, or a temporary one."""
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _expect_same(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path) -> None:
    different = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if different:
        raise InputError(
            f"Expected what is finished in {path} to be of these rows and settings; got another "
            f"{different[0]} there. Name another --out, or compute all anew with --overwrite."
        )
