"""Rows far away, and in many files: the same rows, only what is asked for, each fetched once."""

import functools
import http.server
import json
import os
import re
import shutil
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import forks
import fsspec
import numpy as np
import pandas as pd
import peaks
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infobound._system import distributed
from infobound._system import memory as storage
from infobound.cli import main
from infobound.config import Config
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.files import locations, readers
from infobound.files.formats import parquet
from infobound.files.locations import place

FAST = Config(n_iters=10, hidden_dim=8, embedding_dim=2, folds=2, eval_rows=90)


def table(n=900, seed=0):
    """Four columns of normal numbers, and two that take few values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    frame["c"] += frame["a"]
    return frame.assign(year=rng.integers(2020, 2023, n), city=rng.choice(["a b", "c=d", "e/f"], n))


def partitioned(folder, frame):
    """A directory by year and city, with what Hive passes over; the rows in the order of paths."""
    frame.to_parquet(folder, partition_cols=["year", "city"])
    (folder / "_SUCCESS").write_text("")
    (folder / ".part.crc").write_text("")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "x.parquet").write_text("no more than a beginning")
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("[!x]*.parquet"))
    keys = [re.match(r"year=(\d+)/city=([^/]*)/", path.replace(os.sep, "/")) for path in paths]
    names = {"a%20b": "a b", "c%3Dd": "c=d", "e%2Ff": "e/f"}
    parts = [
        frame[(frame.year == int(key[1])) & (frame.city == names.get(key[2], key[2]))]
        for key in keys
    ]
    assert len(parts) == 9
    return pd.concat(parts, ignore_index=True)


class Server(http.server.SimpleHTTPRequestHandler):
    """Files of a directory, whole or in parts; counts the bytes of what it sends."""

    sent, parts = 0, True

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, asked = Path(self.translate_path(self.path)), self.headers.get("Range")
        if not (asked and path.is_file() and Server.parts):
            return super().do_GET()
        size = path.stat().st_size
        start, end = re.match(r"bytes=(\d+)-(\d*)", asked).groups()
        start, end = int(start), min(int(end or size), size - 1)
        Server.sent += end + 1 - start
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        self.wfile.write(path.read_bytes()[start : end + 1])


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address of a web server of this test's directory."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(Server, "sent", 0)
    handler = functools.partial(Server, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def memory(tmp_path):
    """An address to which a directory of this machine is copied."""
    system = fsspec.filesystem("memory")

    def copy(folder):
        system.put(str(folder), f"/{tmp_path.name}", recursive=True)
        return f"memory://{tmp_path.name}"

    yield copy
    if system.exists(f"/{tmp_path.name}"):
        system.rm(f"/{tmp_path.name}", recursive=True)


def zipped(folder, path):
    """A directory as an archive; its address."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder.parent))
    return f"zip://{folder.name}::{path}"


def same(ours, theirs):
    return (
        ours.x.tobytes() == theirs.x.tobytes()
        and ours.y.tobytes() == theirs.y.tobytes()
        and (ours.x_names, ours.y_names) == (theirs.x_names, theirs.y_names)
    )


SELECTED = [
    (["a", "b"], ["c"]),
    (["year", "d"], ["c"]),
    (["a"], ["city"]),
    (["year"], ["city"]),
    (["a:year"], ["city"]),
]


@pytest.mark.parametrize(("x", "y"), SELECTED)
def test_a_partitioned_directory_has_the_rows_of_one_file(tmp_path, memory, x, y):
    expected = partitioned(tmp_path / "t", table())
    expected.to_parquet(tmp_path / "one.parquet")
    one = readers.read(tmp_path / "one.parquet", x=x, y=y)
    address = zipped(tmp_path / "t", tmp_path / "all.zip")
    file = (tmp_path / "t").as_uri()
    for where in (tmp_path / "t", file, memory(tmp_path / "t"), address):
        found = readers.read(where, x=x, y=y)
        assert same(found, one), where
        assert found.notes == one.notes


def test_the_estimate_of_a_directory_is_that_of_one_file_to_the_bit(tmp_path, memory):
    partitioned(tmp_path / "t", table(300)).to_parquet(tmp_path / "one.parquet")
    wanted = {"x": ["a", "b"], "y": ["c", "year"]}
    one = estimate(readers.read(tmp_path / "one.parquet", **wanted), config=FAST)
    for where in (tmp_path / "t", memory(tmp_path / "t")):
        assert estimate(readers.read(where, **wanted), config=FAST) == one


def test_the_command_takes_directories_and_addresses(tmp_path, memory, capsys):
    partitioned(tmp_path / "sales", table())
    said = []
    for where in (str(tmp_path / "sales"), memory(tmp_path / "sales")):
        words = ["--x", "a", "--y", "c", "year", "--estimator", "gaussian", "--no-certify"]
        main.main(["estimate", where, *words, "--quiet"])
        said.append(capsys.readouterr().out)
        name = where.rstrip("/").rsplit("/")[-1]
        assert f"{name}: a and c year" in said[-1]
        command = " ".join(said[-1].replace("\\\n", " ").split())  # continued lines
        assert f"infobound rehearse {where} --x a" in command
    assert said[0].split("\n")[1:9] == said[1].split("\n")[1:9]


def test_the_order_is_that_of_paths_whatever_the_system_answers(tmp_path, memory, monkeypatch):
    expected = partitioned(tmp_path / "t", table())
    address = memory(tmp_path / "t")
    system = type(place(address).system)
    find = system.find
    monkeypatch.setattr(system, "find", lambda *a, **k: find(*a, **k)[::-1])
    pair = readers.read(address, x=["a"], y=["b"])
    assert np.array_equal(pair.x[:, 0], expected["a"])


def test_every_format_is_read_from_afar(tmp_path, memory):
    frame = table()[list("abcd")]
    (tmp_path / "d").mkdir()
    frame.to_csv(tmp_path / "d" / "t.csv.gz", index=False)
    frame.to_csv(tmp_path / "d" / "t.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "d" / "t.parquet")
    np.savez(tmp_path / "d" / "t.npz", **{name: frame[name] for name in frame})
    np.save(tmp_path / "d" / "t.npy", frame.to_numpy())
    address, packed = memory(tmp_path / "d"), zipped(tmp_path / "d", tmp_path / "all.zip")
    for file in (tmp_path / "d").iterdir():
        x, y = (["0", "1"], ["3"]) if file.suffix == ".npy" else (["a", "b"], ["d"])
        one = readers.read(file, x=x, y=y)
        inside = packed.replace("zip://d", f"zip://d/{file.name}")
        for where in (f"{address}/{file.name}", inside, file.as_uri()):
            assert same(readers.read(where, x=x, y=y), one), where
    assert len(list((tmp_path / "d").iterdir())) == 5


def test_only_the_selected_columns_are_fetched_from_a_web_server(tmp_path, served):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50_000, 20)))
    frame.columns = [f"c{k}" for k in range(20)]
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=10_000)
    frame.head(500).to_csv(tmp_path / "t.csv", index=False)
    expected = partitioned(tmp_path / "t", table())
    wanted = {"x": ["c3"], "y": ["c17"]}
    one = readers.read(tmp_path / "t.parquet", **wanted)
    assert same(readers.read(f"{served}/t.parquet", **wanted), one)
    assert 2 * 8 * len(frame) < Server.sent < 3 * 8 * len(frame)  # of 20 * 8 * len(frame)
    assert same(
        readers.read(f"{served}/t.csv?key=1", **wanted),
        readers.read(tmp_path / "t.csv", **wanted),
    )
    for page in (f"{served}/t/", f"{served}/t"):  # they list files
        pair = readers.read(page, x=["a"], y=["city"])
        assert np.array_equal(pair.x[:, 0], expected["a"])
        assert pair.y_names == ("city=a b", "city=c=d", "city=e/f")
    (tmp_path / "t.parquet").unlink()
    assert np.array_equal(readers.read(served, x=["a"], y=["b"]).x[:, 0], expected["a"])


def test_what_is_wrong_on_a_web_server_is_said(tmp_path, served, monkeypatch):
    table().to_parquet(tmp_path / "t.parquet")
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(InputError, match=r"Expected data at http.*; there is nothing"):
            readers.read(f"{served}/{name}", x=["a"], y=["b"])
    monkeypatch.setattr(Server, "parts", False)
    with pytest.raises(InputError, match=r"sends whole ones only\. Download"):
        readers.read(f"{served}/t.parquet", x=["a"], y=["b"])
    monkeypatch.setattr(Server, "do_HEAD", lambda self: self.send_error(403))
    monkeypatch.setattr(Server, "do_GET", lambda self: self.send_error(403))
    with pytest.raises(InputError, match=r"let in at http.*credentials") as caught:
        readers.read(f"{served}/t.parquet?token=abc", x=["a"], y=["b"])
    assert "abc" not in str(caught.value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/t.csv"
        with pytest.raises(InputError, match=r"connection failed.*try again"):
            readers.read(nobody, x=["a"], y=["b"])


@pytest.mark.parametrize(
    ("address", "fragments"),
    [
        ("memory://none/t.csv", ["Expected data at memory://none/t.csv; there is nothing"]),
        ("memory://none/t", ["Expected data at memory://none/t; there is nothing"]),
        ("nosuch://a/t.csv", ["s3, gs, https", "got nosuch://a/t.csv", "before ://"]),
        ("reference://t.csv", ["s3, gs, https", "got reference://t.csv", "name the copy"]),
        ("github://o:r@main/t.csv", ["s3, gs, https", "name the copy"]),
        ("reference://t.csv::memory://refs.json", ["Expected only zip or tar before ::"]),
        ("reference::memory://refs.json", ["Expected only zip or tar before ::", "got reference"]),
        ("zip://t.csv::reference::memory://refs.json", ["got reference"]),
        ("filecache::https://a/t.csv", ["got filecache"]),
        ("https://a/t.csv::rows.csv", ["got https"]),  # that would be https over a local file
        ("zip://t.csv::memory://none.zip", ["there is nothing"]),
        (Path("memory://a/t.csv"), ["as text; got a Path", "Give a str"]),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address, fragments):
    with pytest.raises(InputError) as caught:
        readers.read(address, x=["a"], y=["b"])
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_remote_file_leads_to_none_of_this_machine(tmp_path, memory):
    (tmp_path / "t").mkdir()
    table().to_csv(tmp_path / "secret.csv", index=False)
    (tmp_path / "t" / "refs.json").write_text(json.dumps({"t.csv": [str(tmp_path / "secret.csv")]}))
    with pytest.raises(InputError, match="Expected only zip or tar"):
        readers.read(f"reference://t.csv::{memory(tmp_path / 't')}/refs.json", x=["a"], y=["b"])


def test_archives_are_read_and_nothing_is_left_to_the_letters_of_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    with zipfile.ZipFile("rows", "w") as archive:  # fsspec would take `rows` for a protocol
        archive.write("t.csv")
    with tarfile.open("rows.tar", "w") as archive:
        archive.add("t.csv")
    one = readers.read("t.csv", x=["a"], y=["b"])
    for address in ("zip://t.csv::rows", "ZIP://t.csv::FILE://rows", "tar://t.csv::rows.tar"):
        assert same(readers.read(address, x=["a"], y=["b"]), one)


def test_a_server_that_is_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(locations, "SILENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for address in ("t.csv", "t.parquet", "t/"):
            with pytest.raises(InputError, match=r"reach http.*; the connection failed"):
                readers.read(f"{host}/{address}", x=["a"], y=["b"])


def test_a_server_that_falls_silent_in_a_file_is_given_up(tmp_path, served, monkeypatch):
    monkeypatch.setattr(locations, "SILENCE", 0.2)
    table().to_csv(tmp_path / "t.csv", index=False)
    over = threading.Event()

    def half(self):
        size = (tmp_path / "t.csv").stat().st_size
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write((tmp_path / "t.csv").read_bytes()[: size // 2])
        over.wait()

    monkeypatch.setattr(Server, "do_GET", half)
    try:
        with pytest.raises(InputError, match=r"reach http.*; the connection failed"):
            readers.read(f"{served}/t.csv", x=["a"], y=["b"])
    finally:
        over.set()


@pytest.mark.parametrize(
    ("kind", "word"), [("gs", "session_kwargs"), ("az", "read_timeout"), ("sftp", "auth_timeout")]
)
def test_other_systems_are_told_to_give_up_too(monkeypatch, kind, word):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(fsspec.config, "conf", {})
    asked = {}

    def opened(chain, **options):
        asked.update(options)
        return fsspec.filesystem("memory"), "/t.csv"

    monkeypatch.setattr(fsspec.core, "url_to_fs", opened)
    place(f"zip://t.csv::{kind}://a/t.zip")
    assert asked["zip"] == {}
    limit = asked[kind][word]
    assert (limit["timeout"].sock_read if word == "session_kwargs" else limit) == 30
    monkeypatch.setitem(fsspec.config.conf, kind, {word: {"timeout": 5} if kind == "gs" else 5})
    place(f"{kind}://a/t.csv")
    assert asked[kind][word] == ({"timeout": 5} if kind == "gs" else 5)  # the user's own


@pytest.mark.parametrize("link", ["deeper/", "./deeper/", "t-{n}.parquet", "d-{n}/"])
def test_pages_that_link_without_end_are_left(tmp_path, served, monkeypatch, link):
    monkeypatch.setattr(locations, "LISTED", 50)
    asked = []

    def page(self):
        asked.append(self.path)
        names = [link.format(n=n + len(asked) * 30) for n in range(30 if "{n}" in link else 1)]
        text = "".join(f'<a href="{name}">{name}</a>' for name in names).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    monkeypatch.setattr(Server, "do_GET", page)
    if link == "t-{n}.parquet":
        monkeypatch.setattr(locations, "LISTED", 20)
    message = "Expected Parquet files" if link == "./deeper/" else "at most 16 levels and"
    with pytest.raises(InputError, match=message):
        readers.read(f"{served}/t/", x=["a"], y=["b"])
    assert len(asked) <= 18


def test_a_page_that_cannot_be_listed_is_said(tmp_path, served, monkeypatch):
    partitioned(tmp_path / "t", table())
    (tmp_path / "t" / "year=2021").rename(tmp_path / "elsewhere")
    (tmp_path / "t" / "year=2021").mkdir()
    whole = Server.do_GET
    monkeypatch.setattr(
        Server,
        "do_GET",
        lambda self: self.send_error(403) if self.path.endswith("2021/") else whole(self),
    )
    with pytest.raises(InputError, match="access is denied"):
        readers.read(f"{served}/t/", x=["a"], y=["b"])


def test_what_has_no_room_here_is_not_fetched(tmp_path, memory, monkeypatch):
    (tmp_path / "d").mkdir()
    table().to_csv(tmp_path / "d" / "t.csv", index=False)
    address = memory(tmp_path / "d")
    free = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(InputError, match=r"Expected room for t\.csv in .*TMPDIR"):
        readers.read(f"{address}/t.csv", x=["a"], y=["b"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "t.csv").mkdir()
    for name in ("pipe.csv", "zero.npy"):
        for where in (tmp_path / name, (tmp_path / name).as_uri()):
            with pytest.raises(InputError, match=f"Expected a regular file; .*{name} is a pipe"):
                readers.read(where, x=["a"], y=["b"])
    with pytest.raises(InputError, match=r"Expected a regular file; .*pipe\.zip is a pipe"):
        readers.read(f"zip://t.csv::{tmp_path / 'pipe.zip'}", x=["a"], y=["b"])
    os.mkfifo(tmp_path / "t.csv" / "pipe.parquet")
    with pytest.raises(InputError, match=r"Parquet files in .*t\.csv; got none"):
        readers.read(tmp_path / "t.csv", x=["a"], y=["b"])


@pytest.mark.parametrize(
    ("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("https", "aiohttp requests")]
)
def test_a_missing_package_is_named(monkeypatch, protocol, package):
    def missing(*_, **__):
        raise ImportError("it is not there")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InputError, match=f"opens {protocol}:// .*pip install {package}"):
        readers.read(f"{protocol}://a/t.csv", x=["a"], y=["b"])


def test_names_with_colons_are_no_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("10:30.csv", "a::b.csv", "C:rows.csv", "s3:rows.csv", "what?.csv"):
        table().to_csv(name, index=False)
        for path in (name, Path(name), tmp_path / name):
            assert len(readers.read(path, x=["a"], y=["b"]).x) == 900
    with pytest.raises(InputError, match=r"C:\\rows.csv does not exist"):
        readers.read("C:\\rows.csv", x=["a"], y=["b"])


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_what_is_wrong_with_a_directory_is_said(tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    with pytest.raises(InputError, match=r"Parquet files in .*t; got none"):
        readers.read(folder, x=["a"], y=["b"])
    values = np.arange(50.0)
    write(folder / "1.parquet", a=values, b=values, c=values, e=values)
    write(folder / "2.parquet", a=values.astype(int), b=values, d=values, e=values)
    (folder / "notes.txt").write_text("words")
    pair = readers.read(folder, x=["b"], y=["e"])  # what is not selected may differ
    assert len(pair.x) == 100
    assert pair.notes == (f"Left out of {folder}, since not .parquet: notes.txt (1 in all).",)
    for column, kinds in (
        ("a", r"double in .*1.parquet, and int64 in .*2.parquet"),
        ("c", r"double in .*1.parquet, and absent in .*2.parquet"),
        ("d", r"absent in .*1.parquet, and double in .*2.parquet"),
    ):
        with pytest.raises(InputError, match=f"column {column} is {kinds}. Write them with one"):
            readers.read(folder, x=[column], y=["b"])
    write(folder / "k=1" / "3.parquet", b=values, e=values)
    with pytest.raises(InputError, match=r"k is absent in .*1.parquet, and a part of the path in"):
        readers.read(folder, x=["k"], y=["b"])
    write(folder / "b=1" / "4.parquet", b=values, e=values)
    with pytest.raises(InputError, match="got b more than once"):
        readers.read(folder, x=["e"], y=["b"])
    (folder / "5.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"t.5\.parquet cannot be read"):
        readers.read(folder, x=["e"], y=["a"])


def test_missing_keys_large_integers_and_categories_are_judged_as_in_one_file(tmp_path):
    values = np.arange(60.0)
    write(tmp_path / "t" / "k=1" / "1.parquet", b=values, i=2**60 + np.arange(60))
    write(tmp_path / "t" / "k=__HIVE_DEFAULT_PARTITION__" / "1.parquet", b=values, i=[0] * 60)
    with pytest.raises(InputError, match=r"60 of 120 rows .* k \(60\)"):
        readers.read(tmp_path / "t", x=["k"], y=["b"])
    assert len(readers.read(tmp_path / "t", x=["k"], y=["b"], drop_missing=True).x) == 60
    write(tmp_path / "u" / "k=v" / "1.parquet", b=values)
    write(tmp_path / "u" / "k=__HIVE_DEFAULT_PARTITION__" / "1.parquet", b=values)
    with pytest.raises(InputError, match=r"60 of 120 rows .* k \(60\)"):
        readers.read(tmp_path / "u", x=["k"], y=["b"])
    with pytest.raises(InputError, match="float64 distinguishes in column i"):
        readers.read(tmp_path / "t", x=["i"], y=["b"])
    for name, levels in (("1", ["u", "v"]), ("2", ["v", "w"])):
        text = pd.Categorical(levels * 30)
        pd.DataFrame({"a": text, "b": values}).to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "c").mkdir()
    for name in ("1", "2"):
        (tmp_path / f"{name}.parquet").rename(tmp_path / "c" / f"{name}.parquet")
    assert readers.read(tmp_path / "c", x=["a"], y=["b"]).x_names == ("a=u", "a=v", "a=w")


def test_no_more_than_a_piece_of_a_directory_is_in_memory(tmp_path, monkeypatch, memory):
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)  # nothing fits
    monkeypatch.setattr(storage, "PIECE", 50_000)
    monkeypatch.setattr(parquet, "BATCH", 1_000)
    values = np.random.default_rng(0).normal(size=(20_000, 50))
    for k, part in enumerate(np.array_split(values, 10)):
        columns = {f"c{j}": part[:, j] for j in range(50)}
        write(tmp_path / "t" / f"k={k}" / "rows.parquet", **columns)
    address = memory(tmp_path / "t")
    wanted = {"x": ["c0:c24"], "y": ["c25:c49", "k"]}
    readers.read(tmp_path / "t" / "k=0" / "rows.parquet", x=["c0"], y=["c1"])  # what is imported
    for where in (tmp_path / "t", address):
        pool = pa.default_memory_pool()
        counted = pa.proxy_memory_pool(pool)
        pa.set_memory_pool(counted)
        try:
            for _ in peaks.under(values.nbytes / 3):
                pair = readers.read(where, **wanted)
        finally:
            pa.set_memory_pool(pool)
        assert np.array_equal(pair.x, values[:, :25])
        assert 0 < counted.max_memory() < values.nbytes / 3


def read_as_rank(out, *addresses):
    """What a rank reads at each address, or what it says, in files named after it."""
    with distributed.world():
        for k, where in enumerate(addresses):
            try:
                pair = readers.read(where, x=["a", "b"], y=["c"])
                said = np.concatenate([pair.x, pair.y], axis=1)
            except InputError as error:
                said = np.array(str(error))
            np.save(f"{out}-{distributed.ranks()[0]}-{k}.npy", said)


def as_ranks(size, *arguments):
    """Several processes that know of each other, as `torchrun` starts them."""
    started = forks.ranks(size, read_as_rank, lambda _: arguments)
    for process in started:
        process.join(100)
    assert [process.exitcode for process in started] == [0] * size


def test_ranks_have_the_same_rows_and_say_the_same(tmp_path):
    frame = table(3_000)[list("abcd")]
    (tmp_path / "right").mkdir()
    frame.to_parquet(tmp_path / "right" / "t.parquet", row_group_size=700)
    for name in ("broken", "merged"):
        for k, first in enumerate((2**60, 0)):  # each rank has one of the files
            columns = {"a": np.arange(100), "b": first + np.arange(100), "c": np.arange(100.0)}
            write(tmp_path / name / f"{k}.parquet", **columns)
    path = tmp_path / "broken" / "0.parquet"
    start = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + b"\xff" * 200 + whole[start + 200 :])
    names = ("right", "broken", "merged")
    as_ranks(2, tmp_path / "out", *(zipped(tmp_path / n, tmp_path / f"{n}.zip") for n in names))
    for rank in range(2):
        right, broken, merged = (np.load(tmp_path / f"out-{rank}-{k}.npy") for k in range(3))
        assert np.array_equal(right, frame[["a", "b", "c"]])
        assert "zip://broken/0.parquet::" in str(broken)
        assert "cannot be read" in str(broken)
        assert "float64 distinguishes in column b" in str(merged)


def test_ranks_fetch_each_row_group_once(tmp_path, served):
    table(30_000)[list("abcd")].to_parquet(tmp_path / "t.parquet", row_group_size=7_000)
    readers.read(f"{served}/t.parquet", x=["a", "b"], y=["c"])
    once, Server.sent = Server.sent, 0
    as_ranks(2, tmp_path / "out", f"{served}/t.parquet")
    assert once < Server.sent <= once + 65_536  # one footer more
