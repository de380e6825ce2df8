"""Where rows lie: a path, a directory, or an address that fsspec opens (s3://, https://, ...).

What a file holds is not known here. fsspec (https://filesystem-spec.readthedocs.io) is imported
for addresses only, and of the file systems that it knows only those below are used: others read
files of this machine, or compute, as the content of a remote file tells them to (reference://).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from infobound.errors import InputError

__all__ = ["Place", "name", "place", "reading", "shown"]

ADDRESS = re.compile(r"([a-z][\w+.-]+)(::[a-z][\w+.-]+)*://", re.IGNORECASE)  # C:\ is none
PACKAGES = {  # what each kind of address needs besides fsspec
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp requests"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "hf": "huggingface_hub",
    **dict.fromkeys(("memory", "file", "local"), ""),
}
FAMILIES = (("http", "https"), ("gs", "gcs"), ("abfs", "abfss", "az"), ("sftp", "ssh"))
ARCHIVES = ("zip", "tar")  # what may stand before ::
SILENCE = 30.0  # seconds without an answer, after which a server is given up
DEPTH = 16  # levels of web pages below the first one
LISTED = 100_000  # names on all web pages of a directory
NETWORK = (  # packages whose errors are about the way, not about what lies at its end
    *("http", "azure", "botocore", "fsspec", "gcsfs", "google", "paramiko", "requests", "urllib3"),
    "socket",
)


@dataclass(frozen=True)
class Place:
    """A file or a directory: a path of this machine, or where `system` is not None, fsspec's.

    Example:
        >>> place("a/10:30.csv.gz").ending, place("C:/rows.npy").system is None
        ('.csv', True)
    """

    text: str
    path: str
    system: Any = None

    def __str__(self) -> str:
        """The path, or the address without the keys and signatures that it may carry."""
        return shown(self.text)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return name(self.text)

    @property
    def ending(self) -> str:
        """What the name says of the format, in lower case: .csv, of .csv.gz too; or nothing."""
        suffixes = [suffix.lower() for suffix in PurePosixPath(self.name).suffixes]
        return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")

    @property
    def local(self) -> Path:
        """The path on this machine."""
        return Path(self.path)

    def _is_web(self) -> bool:
        return self.path.startswith(("http://", "https://"))

    def is_directory(self) -> bool:
        """Whether others lie in it; an error where nothing is there.

        A web page is one where its address ends in / or has no ending: it may list files.
        """
        if self.system is None:
            return self.local.is_dir()
        address = shown(self.path)
        if self._is_web() and (address.endswith("/") or address.count("/") < 3 or not self.ending):
            return True
        return bool(self.system.info(self.path)["type"] == "directory")

    def size(self) -> int | None:
        """Bytes of the file, where that can be known.

        Raises:
            InputError: it is a pipe or a device of this machine, which may never end.
        """
        if self.system is None:
            return _regular(self.local).st_size
        size: int | None = self.system.info(self.path).get("size")
        return size

    def files(self) -> dict[str, Place]:
        """The files in it and below, by their relative path, sorted; hidden ones (_, .) left out.

        The order is that of the paths, whatever the system answers.
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
        """What a web page and those below it link to, by relative address.

        Pages may link to one another without end.

        Raises:
            InputError: more levels or more names than a directory of data has.
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
        """The file, to be read anywhere in it; from afar nothing is read ahead."""
        if self.system is None:
            yield self.path
            return
        with self.system.open(self.path, "rb", cache_type="none") as file:
            yield file

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """The whole file on this machine, where it lies or as a scratch file in `TMPDIR`."""
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
    """A path, or an address without the keys and signatures that it may carry.

    Example:
        >>> shown("https://user:key@host/rows.csv?sig=1"), shown("odd?.csv")
        ('https://host/rows.csv', 'odd?.csv')
    """
    return re.sub(r"(?<=://)[^/@]*@|[?#].*", "", text) if ADDRESS.match(text) else text


def name(text: str) -> str:
    """The last part of a path or an address.

    Example:
        >>> name("zip://year=1/rows.csv::s3://bucket/all.zip"), name("data/rows/")
        ('rows.csv', 'rows')
    """
    if not ADDRESS.match(text):
        return Path(text).name
    return PurePosixPath(shown(text).split("::")[0].split("://")[-1]).name


def _is_hidden(name: str) -> bool:
    """Whether a part of a relative path begins with _ or ., as in Hive's temporary directories."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def place(text: str | Path) -> Place:
    """Where a path or an address leads; file:// is a path.

    Args:
        text: a path; or an address with `://`, also one in an archive, such as
            zip://a.csv::s3://b/a.zip.

    Raises:
        InputError: an address of a kind that is not known or not installed, or that is a `Path`.

    Example:
        >>> place("file:///data/rows.csv").path
        '/data/rows.csv'
    """
    address = ADDRESS.match(str(text))
    if isinstance(text, Path) and re.match(r"[A-Za-z][\w+.-]+:[/\\]", str(text)):
        raise InputError(
            f"Expected an address as text; got a Path, which breaks it: {text}. Give a str."
        )
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
        system.invalidate_cache()  # of what was listed before, in this process
    return Place(str(text), path, system)


def _chain(text: str) -> tuple[list[str], str]:
    """The kinds of address that a text joins by ::, and the text with each of them written out.

    fsspec's own reading of a part without :// depends on its letters; so none is left to it.
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
    """How a kind of file system is told to give up after `SILENCE`.

    What the user's own configuration of fsspec says of that stays. s3fs gives up by itself after 5
    seconds without a connection and 15 without an answer, huggingface_hub after 10.
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
    """What the system says of a file, which must not be a pipe, a socket or a device.

    Raises:
        InputError: it is one: it may never end, and gives its bytes once.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"Expected a regular file; {path} is a pipe, a device or a directory. Write what it "
            "gives into a file, and name that."
        )
    return found


@contextlib.contextmanager
def reading(where: Place) -> Iterator[None]:
    """Whatever goes wrong with a place while it is read, said in one sentence.

    Raises:
        InputError: denied, absent, out of reach, no room for it, or not what its ending says.

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
    """What went wrong; of several errors that led to one another, by the first that tells."""
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
            f"Expected text in UTF-8; {where} cannot be read as that ({error}). "
            "Save it as UTF-8; spreadsheets call that 'CSV UTF-8'."
        )
    return (
        f"Expected a readable {where.ending} file; {where} cannot be read ({reason}). Is it "
        "complete, and what its ending says?"
    )


def _causes(error: BaseException) -> list[BaseException]:
    """An error and those behind it, the first one first."""
    behind = error.__cause__ or error.__context__
    return [*(_causes(behind) if behind else ()), error]


def _said_afar(where: Place, error: BaseException) -> str | None:
    """What went wrong between here and a place elsewhere, if that is what an error is about."""
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
