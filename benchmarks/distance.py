"""What is fetched from a web server, by one and by several ranks, for some of a table's columns.

    python benchmarks/distance.py [--rows 1000000] [--ranks 1 2 4] [--threads 1]

A directory of Parquet files (float64, row groups of --group rows) is served on this machine, and
each number of ranks reads --select of its columns from there as `infobound estimate` does under
`torchrun`. What the server sent is held against what the selected columns take in the files; the
memory is the most that a rank had above what it had before it read. With --scratch nothing is
held in memory (as if it were full).
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import finish, parser, table

RANK = """
import json, sys, threading, time
from pathlib import Path
import aiohttp, fsspec, numpy, pandas, pyarrow.parquet
from infobound._system import distributed
from infobound._system import memory as storage
from infobound.files import readers as tables

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        most[0] = max(most[0], held())

if sys.argv[3] == "scratch":
    storage.MEMORY_SHARE = 0.0
with distributed.world():
    most, done = [held()], threading.Event()
    before = most[0]
    threading.Thread(target=watch, daemon=True).start()
    start = time.perf_counter()
    pair = tables.read(sys.argv[1], x=["c0"], y=[f"c1:c{int(sys.argv[2]) - 1}"])
    seconds = time.perf_counter() - start
    done.set()
    print(json.dumps({"seconds": seconds, "memory": most[0] - before, "rows": len(pair.x)}))
"""


class Server(http.server.SimpleHTTPRequestHandler):
    """A directory, in parts on request; counts what it sends."""

    sent = requests = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, asked = Path(self.translate_path(self.path)), self.headers.get("Range")
        if not (asked and path.is_file()):
            return super().do_GET()
        size = path.stat().st_size
        found = re.match(r"bytes=(\d+)-(\d*)", asked)
        assert found is not None
        start, end = int(found[1]), min(int(found[2] or size), size - 1)
        Server.sent += end + 1 - start
        Server.requests += 1
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            self.wfile.write(file.read(end + 1 - start))


def write(folder: Path, options: Any) -> int:
    """The rows in as many files as asked for; bytes of the selected columns in them."""
    selected = 0
    rng = np.random.default_rng(0)
    for k, part in enumerate(np.array_split(np.arange(options.rows), options.files)):
        columns = {f"c{j}": rng.normal(size=len(part)) for j in range(options.columns)}
        path = folder / f"part={k:03d}" / "rows.parquet"
        path.parent.mkdir()
        pq.write_table(pa.table(columns), path, row_group_size=options.group)
        footer = pq.read_metadata(path)
        for group in range(footer.num_row_groups):
            for j in range(options.select):
                selected += footer.row_group(group).column(j).total_compressed_size
    return selected


def read(address: str, ranks: int, selected: int, options: Any) -> dict[str, Any]:
    """What the ranks say, and what the server sent them."""
    Server.sent = Server.requests = 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    settings |= {"OMP_NUM_THREADS": str(options.threads)}
    how = "scratch" if options.scratch else "memory"
    command = [sys.executable, "-c", RANK, address, str(options.select), how]
    started = [
        subprocess.Popen(
            command, env={**os.environ, **settings, "RANK": str(k)}, stdout=subprocess.PIPE
        )
        for k in range(ranks)
    ]
    said = [json.loads(process.communicate()[0]) for process in started]
    assert all(each["rows"] == options.rows for each in said)
    return {
        "ranks": ranks,
        "sent": Server.sent,
        "selected": selected,
        "requests": Server.requests,
        "memory": max(each["memory"] for each in said),
        "seconds": max(each["seconds"] for each in said),
    }


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    axes.plot([row["ranks"] for row in rows], [row["sent"] / row["selected"] for row in rows], "o-")
    axes.set(xlabel="ranks", ylabel="bytes sent / bytes of the selected columns", ylim=(0, None))


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    for name, usual in (
        *(("rows", 1_000_000), ("columns", 20), ("select", 4), ("files", 10), ("group", 25_000)),
    ):
        options_of.add_argument(f"--{name}", type=int, default=usual)
    options_of.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    options_of.add_argument("--scratch", action="store_true", help="as if memory were full")
    options = options_of.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        selected = write(Path(folder), options)
        handler = functools.partial(Server, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/"
            rows = [read(address, ranks, selected, options) for ranks in options.ranks]
            server.shutdown()
    table(
        ["ranks", "sent, MB", "selected, MB", "requests", "memory, MB", "seconds"],
        [
            [
                *(row["ranks"], f"{row['sent'] / 1e6:.1f}", f"{row['selected'] / 1e6:.1f}"),
                *(row["requests"], f"{row['memory'] / 1e6:.0f}", f"{row['seconds']:.1f}"),
            ]
            for row in rows
        ],
    )
    finish(options, rows, draw)


if __name__ == "__main__":
    main()
