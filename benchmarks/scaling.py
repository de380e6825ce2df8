"""How an estimate grows with the number of rows: seconds, memory and error, 10 + 10 columns.

    python benchmarks/scaling.py [--sizes 1000 10000 100000 1000000] [--threads 1]

Normal rows with 2 nats, in a Parquet file; each size is `infobound estimate` in a fresh process,
from spawn to result. Memory is the process's peak of resident memory, less what importing alone
takes. Slopes are powers of N, least squares on log axes: over all sizes, and from 10,000 up. Words
after `--` are handed to the command: `-- --critic none`. Each size is said on standard error as it
is done.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from common import GREYS, child, finish, parser, slope, table

from infobound.benchmark.notebook import sample
from infobound.benchmark.tasks import make

COLUMNS, TRUTH, FROM = 10, 2.0, 10_000
IMPORTS = "import infobound.estimation.estimate, infobound.files.readers, pandas, pyarrow.parquet"


def write(n: int, file: Path, seed: int) -> int:
    """The rows as Parquet; their bytes in memory."""
    task = make("gaussian", d=COLUMNS, rho=math.sqrt(-math.expm1(-2 * TRUTH / COLUMNS)))
    sides = dict(zip("xy", sample(task, n, seed), strict=True))
    frame = pd.DataFrame(
        {f"{s}{k}": rows[:, k].numpy() for s, rows in sides.items() for k in range(COLUMNS)}
    )
    frame.to_parquet(file)
    return int(frame.memory_usage(index=False).sum())


def measure(n: int, imports: int, options: Any) -> dict[str, Any]:
    """One size in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        size = write(n, file, options.seed)
        words = ("estimate", file, "--x", "x*", "--y", "y*", "--json", *options.words)
        done = child("infobound", *words, threads=options.threads)
    found = json.loads(done.printed)
    return {
        "n": n,
        "seconds": done.seconds,
        "bytes": max(1, done.bytes - imports),
        "data_bytes": size,
        "mi": found["mi"],
        "error": found["mi"] - TRUTH,
        "held_out": found["held_out"],
    }


def imports(options: Any) -> int:
    """The peak of a process that only imports."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "imports.py"
        file.write_text(IMPORTS)
        return child(str(file), threads=options.threads).bytes


def slopes(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Of all sizes, and of the large ones."""
    said = []
    for title, least in (("all", 0), (f"from {FROM:,}", FROM)):
        large = [row for row in rows if row["n"] >= least]
        found = slope([row["n"] for row in large], [row[name] for row in large])
        said.append(f"{title}: {'-' if found is None else f'{found:.2f}'}")
    return ", ".join(said)


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    left, right = figure.subplots(1, 2)
    n = [row["n"] for row in rows]
    left.loglog(n, [row["seconds"] for row in rows], "o-", color=GREYS[0])
    left.set_ylabel("seconds, whole process")
    left.set_title("N^p, " + slopes(rows, "seconds"), fontsize=9)
    mib = {k: [row[k] / 2**20 for row in rows] for k in ("bytes", "data_bytes")}
    right.loglog(n, mib["bytes"], "o-", color=GREYS[0], label="peak beyond imports")
    right.loglog(n, mib["data_bytes"], "s--", color=GREYS[1], label="the rows themselves")
    right.set_ylabel("resident memory, MiB")
    right.set_title("N^p, " + slopes(rows, "bytes"), fontsize=9)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xlabel("N, rows")
        axes.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--sizes", nargs="+", type=int, default=[10**k for k in (3, 4, 5, 6)])
    options_of.add_argument("--seed", type=int, default=0)
    options_of.add_argument("words", nargs="*", help="more options of the command, after --")
    options = options_of.parse_args(arguments)
    base = imports(options)
    rows = []
    for n in options.sizes:
        rows.append(measure(n, base, options))
        print(rows[-1], file=sys.stderr, flush=True)
    cells = [
        [
            f"{row['n']:,}",
            f"{row['seconds']:.1f}",
            f"{row['bytes'] / 2**20:.0f}",
            f"{row['data_bytes'] / 2**20:.1f}",
            f"{row['mi']:.4f}",
            f"{row['error']:+.4f}",
        ]
        for row in rows
    ]
    table(["N", "s", "MiB beyond imports", "MiB of rows", "mi", "error, nats"], cells)
    print(f"imports alone: {base / 2**20:.0f} MiB")
    for name in ("seconds", "bytes"):
        print(f"{name} grow as N to the power of {slopes(rows, name)}")
    finish(options, rows, draw, imports_bytes=base)


if __name__ == "__main__":
    main()
