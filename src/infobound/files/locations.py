"""Locations of data: a path, a directory, or an address that fsspec opens (s3://, https://, ...).

This module does not depend on file formats. fsspec (https://filesystem-spec.readthedocs.io) is
imported for addresses only. Only the file systems below are allowed: others read local files or
execute expressions as the content of a remote file tells them to (reference://).
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from infobound.errors import InputError
from infobound.files.compression import OPENERS

__all__ = ["ADDRESS", "STREAM", "Place", "name", "place", "reading", "shown"]

ADDRESS = re.compile(r"([a-z][\w+.-]+)(::[a-z][\w+.-]+)*://", re.IGNORECASE)  # C:\ is a path
PACKAGES = {  # packages that each kind of address needs besides fsspec
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp requests"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "hf": "huggingface_hub",
    **dict.fromkeys(("memory", "file", "local"), ""),
}
FAMILIES = (("http", "https"), ("gs", "gcs"), ("abfs", "abfss", "az"), ("sftp", "ssh"))
STREAM = "-"  # standard input
PACKED = (  # first bytes of compressed streams
    (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\x00", ".xz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
)
ARCHIVES = ("zip", "tar")  # kinds of address that may precede ::
SILENCE = 30.0  # time limit of a server's answer in seconds
DEPTH = 16  # largest number of levels of web pages below the first one
LISTED = 100_000  # largest number of names on all web pages of a directory
NETWORK = (  # packages whose errors concern the connection, not the file
    *("http", "azure", "botocore", "fsspec", "gcsfs", "google", "paramiko", "requests", "urllib3"),
    "socket",
)


@dataclass(frozen=True)
class Place:
    """A file or a directory.

    Attributes:
        text: the path or address as it was given.
        path: a local path, or a path of `system`.
        system: the file system of fsspec; None for a local path.

    Example:
        >>> place("a/10:30.csv.gz").ending, place("C:/rows.npy").system is None
        ('.csv', True)
    """

    text: str
    path: str
    system: Any = None

    def __str__(self) -> str:
        """Return the path, or the address without keys and signatures."""
        return name(self.text) if self.is_stream else shown(self.text)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return name(self.text)

    @property
    def ending(self) -> str:
        """The file ending in lower case, for example .csv for rows.csv.gz; or empty."""
        suffixes = [suffix.lower() for suffix in PurePosixPath(self.name).suffixes]
        return next((suffix for suffix in reversed(suffixes) if suffix not in OPENERS), "")

    @property
    def packed(self) -> str:
        """The ending of a compressed file, for example .gz for rows.csv.gz; or empty."""
        suffix = PurePosixPath(self.path if self.is_stream else self.name).suffix.lower()
        return suffix if suffix in OPENERS else ""

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input."""
        return self.text == STREAM

    @property
    def local(self) -> Path:
        """The local path."""
        return Path(self.path)

    def _is_web(self) -> bool:
        return self.path.startswith(("http://", "https://"))

    def is_directory(self) -> bool:
        """Return whether it is a directory; a remote location that does not exist is an error.

        A web address is a directory if it ends in / or has no file ending, since it may list files.
        """
        if self.system is None:
            return self.local.is_dir()
        address = shown(self.path)
        if self._is_web() and (address.endswith("/") or address.count("/") < 3 or not self.ending):
            return True
        return bool(self.system.info(self.path)["type"] == "directory")

    def size(self) -> int | None:
        """Return the size of the file in bytes, or None if it is unknown.

        Raises:
            InputError: If it is a local pipe or device, which may never end.
        """
        if self.system is None:
            return _regular(self.local).st_size
        size: int | None = self.system.info(self.path).get("size")
        return size

    def files(self) -> dict[str, Place]:
        """Return all files below, by relative path, without hidden ones (_ or .).

        They are sorted by path, whatever the order of the file system is.
        """
        if self.system is None:
            root = self.local
            found = {p.relative_to(root).as_posix(): str(p) for p in root.rglob("*") if p.is_file()}
        elif self._is_web():  # pages list addresses, not names
            found = {unquote(name): path for name, path in self._linked().items()}
        else:
            above = self.path.rstrip("/") + "/"
            paths = [str(path) for path in self.system.find(self.path)]
            found = {path.removeprefix(above): path for path in paths}
        seen = {name: path for name, path in found.items() if not _is_hidden(name)}
        top, *archive = self.text.split("::") if self.system else [self.text]
        return {
            name: Place("::".join([f"{top.rstrip('/')}/{name}", *archive]), seen[name], self.system)
            for name in sorted(seen)
        }

    def _linked(self) -> dict[str, str]:
        """Return what a web page and the pages below it link to, by relative address.

        Levels and names are limited, because pages may link to each other endlessly.

        Raises:
            InputError: If there are too many levels or names.
        """
        above = self.path.rstrip("/") + "/"
        found: dict[str, str] = {}
        pages, waiting = {self.path}, [(self.path, 0)]
        while waiting:
            page, depth = waiting.pop()
            for entry in self.system.ls(page, detail=True):
                path = str(entry["name"])
                name = path.removeprefix(above)
                if path in pages or _is_hidden(name):
                    continue
                if entry["type"] == "directory":
                    pages.add(path)
                    waiting.append((path, depth + 1))
                else:
                    found[name] = path
            if depth > DEPTH or len(pages) + len(found) > LISTED:
                raise InputError(
                    f"Expected a directory of at most {DEPTH} levels and {LISTED:,} names at "
                    f"{self}; its pages link to more. Name a directory below it, or download the "
                    "files."
                )
        return found

    @contextlib.contextmanager
    def open(self) -> Iterator[Any]:
        """Open the file for random access; remote files are read without read-ahead."""
        if self.system is None:
            yield self.path
            return
        with self.system.open(self.path, "rb", cache_type="none") as file:
            yield file

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """Provide the whole file locally: itself, or a temporary download in `TMPDIR`."""
        if self.system is None:
            yield self.local
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / ("rows" + "".join(PurePosixPath(self.name).suffixes[-2:]))
            if (self.size() or 0) > shutil.disk_usage(folder).free:
                raise OSError(errno.ENOSPC, "more than there is room for")
            self.system.get_file(self.path, str(path))
            yield path


def shown(text: str) -> str:
    """Return a path unchanged, or an address without keys and signatures.

    Example:
        >>> shown("https://user:key@host/rows.csv?sig=1"), shown("odd?.csv")
        ('https://host/rows.csv', 'odd?.csv')
    """
    return re.sub(r"(?<=://)[^/@]*@|[?#].*", "", text) if ADDRESS.match(text) else text


def name(text: str) -> str:
    """Return the last part of a path or an address.

    Example:
        >>> name("zip://year=1/rows.csv::s3://bucket/all.zip"), name("data/rows/")
        ('rows.csv', 'rows')
    """
    if text == STREAM:
        return "standard input"
    if not ADDRESS.match(text):
        return Path(text).name
    return PurePosixPath(shown(text).split("::")[0].split("://")[-1]).name


def _is_hidden(name: str) -> bool:
    """Return whether a part of a relative path starts with _ or ., as Hive's temporary files."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def place(text: str | Path) -> Place:
    """Resolve a path or an address; file:// is a path.

    Args:
        text: a path; "-" for standard input, which is copied to a temporary file; or an address
            with `://`, also of a file in an archive, such as zip://a.csv::s3://b/a.zip.

    Returns:
        The location.

    Raises:
        InputError: If the kind of address is unknown, its package is not installed, or the address
            is a `Path` object.

    Example:
        >>> place("file:///data/rows.csv").path
        '/data/rows.csv'
    """
    address = ADDRESS.match(str(text))
    if isinstance(text, Path) and re.match(r"[A-Za-z][\w+.-]+:[/\\]", str(text)):
        raise InputError(
            f"Expected an address as text; got a Path, which breaks it: {text}. Give a str."
        )
    if str(text) == STREAM:
        return Place(STREAM, _copied(sys.stdin))
    if address is None:
        return Place(str(text), str(text))
    kinds, chain = _chain(str(text))
    import fsspec.core
    from fsspec.implementations.local import LocalFileSystem

    with reading(Place(str(text), str(text), kinds[0])):
        try:
            options = {kind: _time_limits(kind) for kind in kinds}
            system, path = fsspec.core.url_to_fs(chain, **options)
        except ImportError as error:
            package = next(filter(None, map(PACKAGES.get, kinds)), "")
            remedy = f"Install it: pip install {package}" if package else "Install what it names"
            raise InputError(
                f"Expected a package that opens {kinds[-1]}:// addresses; it is not installed "
                f"({error}). {remedy}."
            ) from error
        except ValueError as error:
            raise InputError(
                f"Expected an address that fsspec opens; got {shown(str(text))} ({error}). Check "
                "it."
            ) from error
        if isinstance(system, LocalFileSystem):
            return Place(path, path)
        system.invalidate_cache()  # forget listings from earlier in this process
    return Place(str(text), path, system)


@functools.lru_cache(maxsize=1)
def _copied(stream: Any) -> str:
    """Copy standard input to a temporary file, once, so that it can be read several times.

    Raises:
        InputError: If it is a terminal, or closed.
    """
    if stream is None or stream.closed or stream.isatty():
        raise InputError(
            "Expected rows on standard input for -; got a terminal or nothing. Send them through a "
            "pipe: cat FILE | infobound ... -"
        )
    folder = tempfile.TemporaryDirectory(prefix="infobound-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "rows"
    with open(path, "wb") as file:
        shutil.copyfileobj(getattr(stream, "buffer", stream), file)
    with open(path, "rb") as file:
        first = file.read(6)
    for magic, ending in PACKED:
        if first.startswith(magic):
            path = path.rename(path.with_suffix(ending))
    return str(path)


def _chain(text: str) -> tuple[list[str], str]:
    """Return the kinds of address joined by ::, and the text with :// in every part.

    fsspec interprets a part without :// by its letters, so no such part is passed on.
    """
    kinds, parts = [], []
    *archives, last = text.split("::")
    for part in archives:
        kind, _, rest = part.partition("://")
        kinds.append(kind.lower())
        parts.append(f"{kind.lower()}://{rest}")
    kind, sign, rest = last.partition("://") if "://" in last else ("file", "://", last)
    kinds.append(kind.lower())
    parts.append(f"{kind.lower()}{sign}{rest}")
    wrong = [kind for kind in kinds[:-1] if kind not in ARCHIVES]
    if kinds[-1] not in PACKAGES:
        raise InputError(
            "Expected an address that begins with one of s3, gs, https, http, abfs, az, sftp, hf, "
            f"memory or file; got {shown(text)}. Check what stands before ://, or download the "
            "file and name the copy."
        )
    if wrong:
        raise InputError(
            f"Expected only {' or '.join(ARCHIVES)} before ::, as in "
            f"zip://rows.csv::s3://bucket/all.zip; got {wrong[0]} in {shown(text)}. Download the "
            "file and name the copy."
        )
    if kinds[-1] in ("file", "local") and archives and rest and Path(rest).exists():
        _regular(Path(rest))
    return kinds, "::".join(parts)


def _time_limits(kind: str) -> dict[str, Any]:
    """Return the options of a file system that set its time limits to `SILENCE`.

    The user's own configuration of fsspec takes precedence. s3fs has its own limits of 5 seconds
    for a connection and 15 for an answer, huggingface_hub of 10.
    """
    from fsspec.config import conf

    limits: dict[str, Any] = {}
    family = next((f for f in FAMILIES if kind in f), (kind,))
    if "https" in family or "gs" in family:
        import aiohttp

        waits = dict.fromkeys(("connect", "sock_connect", "sock_read"), SILENCE)
        word = "client_kwargs" if "https" in family else "session_kwargs"
        limits = {word: {"timeout": aiohttp.ClientTimeout(total=None, **waits)}}
    elif "az" in family:
        limits = dict.fromkeys(("connection_timeout", "read_timeout"), SILENCE)
    elif "ssh" in family:
        words = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")
        limits = dict.fromkeys(words, SILENCE)
    for name in family:
        for word, own in conf.get(name, {}).items():
            if word in limits:
                limits[word] = {**limits[word], **own} if isinstance(own, dict) else own
    return limits


def _regular(path: Path) -> os.stat_result:
    """Return the status of a regular file.

    Raises:
        InputError: If it is no regular file: a pipe may never end and can be read only once.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"Expected a regular file; {path} is a pipe, a device or a directory. Write what it "
            "gives into a file, and name that; or send it to standard input, and name -."
        )
    return found


@contextlib.contextmanager
def reading(where: Place) -> Iterator[None]:
    """Context in which errors of reading a location become an `InputError` of one sentence.

    Raises:
        InputError: If access is denied, the file is absent or unreachable, the disk is full, or the
            content does not match the file ending.

    Example:
        >>> with reading(place("rows.csv")):  # doctest: +ELLIPSIS
        ...     raise PermissionError
        Traceback (most recent call last):
        infobound.errors.InputError: Expected to read rows.csv; permission is denied. ...
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each library has exceptions of its own for a broken file
        raise InputError(_said(where, error)) from error


def _said(where: Place, error: Exception) -> str:
    """Describe an error; of a chain of errors, by the first one that is understood."""
    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    if where.system is None:
        if isinstance(error, PermissionError):
            return f"Expected to read {where}; permission is denied. Change its permissions."
    else:
        for each in _causes(error):
            said = _said_afar(where, each)
            if said is not None:
                return said
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"Expected room for {where.name} in {tempfile.gettempdir()}; it is full. Name another "
            "directory in the environment variable TMPDIR."
        )
    if isinstance(error, UnicodeDecodeError):
        return (
            f"Expected text in {error.encoding.upper()}; {where} cannot be read as that "
            f"({error.reason} {error.object[error.start]:#04x}). Name its encoding, for example "
            "--encoding cp1252 (Windows in Western Europe), latin-1 or shift_jis; or save it as "
            "UTF-8; spreadsheets call that 'CSV UTF-8'."
        )
    return (
        f"Expected a readable {where.ending} file; {where} cannot be read ({reason}). Is it "
        "complete, and what its ending says?"
    )


def _causes(error: BaseException) -> list[BaseException]:
    """Return the chain of an error and its causes, the original one first."""
    behind = error.__cause__ or error.__context__
    return [*(_causes(behind) if behind else ()), error]


def _said_afar(where: Place, error: BaseException) -> str | None:
    """Describe an error of access or of the connection to a remote location; None for others."""
    kind = type(error)
    reason = " ".join(str(error).split()) or kind.__name__
    for secret in re.findall(r"(?<=://)[^/@]+(?=@)|(?<=[?#]).+", where.text):
        reason = reason.replace(secret, "...")
    reason = reason[:200]
    status = str(getattr(error, "status", "") or getattr(error, "code", ""))  # gcsfs: code
    words = f"{kind.__name__} {reason}".lower()
    if isinstance(error, PermissionError) or status in ("401", "403") or "credential" in words:
        return (
            f"Expected to be let in at {where}; access is denied ({reason}). Set the credentials "
            "that its owner gave you, where the package that opens such addresses looks for them."
        )
    if isinstance(error, FileNotFoundError) or status == "404" or "nosuch" in words:
        return f"Expected data at {where}; there is nothing. Check the address."
    if "range requests" in reason:
        return (
            f"Expected a server that sends parts of files; that of {where} sends whole ones only. "
            "Download the file and name the copy."
        )
    family = kind.__module__.split(".")[0].removeprefix("aio")
    if family in NETWORK or isinstance(error, ConnectionError | TimeoutError):
        return (
            f"Expected to reach {where}; the connection failed ({reason}). Check the address and "
            "the network, and try again."
        )
    return None
