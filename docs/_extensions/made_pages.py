"""Pages that are made of other files: the reference of the commands, and pages outside `docs/`.

They are written to `docs/generated` before Sphinx looks for sources. Links in all pages are those
that work on GitHub; here they are pointed to where the site has the same content.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = DOCS / "generated"
GALLERY = ROOT / "examples" / "gallery"
COPIES = {  # a page outside docs/, and where the site has it
    ROOT / "README.md": MADE / "readme.md",
    ROOT / "CONTRIBUTING.md": MADE / "contributing.md",
    ROOT / "CHANGELOG.md": MADE / "changelog.md",
    ROOT / "examples" / "README.md": MADE / "data.md",
}
WIDTH = 88  # columns of the help texts
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")  # the file of a relative link


def on_site(path: Path) -> Path:
    """Return the source of the site that shows the content of a file of the repository."""
    if path.parent == GALLERY and path.suffix == ".py":
        return DOCS / "gallery" / f"{path.stem}.rst"
    if path == GALLERY:
        return DOCS / "gallery" / "index.rst"
    return COPIES.get(path, path)


def redirected(text: str, source: Path, page: Path) -> str:
    """Return the text of a file with its relative links as they are from a page of the site."""

    def link(match: re.Match[str]) -> str:
        target = on_site((source.parent / match[1]).resolve())
        return Path(os.path.relpath(target, page.parent)).as_posix()

    return LINK.sub(link, text)


def help_text(*words: str) -> str:
    """Return what a command prints with --help."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    call = [sys.executable, "-m", "infobound", *words, "--help"]
    ran = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in ran.stdout.strip().splitlines())


def command_reference() -> str:
    """Return the page of all commands, each with its help text."""
    from infobound.cli.commands import COMMANDS

    page = [
        "# Command reference",
        "What `infobound COMMAND --help` prints. [Commands](../commands.md) describes them with "
        "examples.",
    ]
    for name in COMMANDS:
        page += [f"## {name}", f"```text\n$ infobound {name} --help\n{help_text(name)}\n```"]
    return "\n\n".join(page) + "\n"


def write(page: Path, text: str) -> None:
    """Write a page unless it is there already: Sphinx reads again what is newer."""
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


def make_pages(app: Any) -> None:
    """Write all pages; those of names that are no longer exported go."""
    shutil.rmtree(MADE / "api", ignore_errors=True)
    for source, page in COPIES.items():
        write(page, redirected(source.read_text(encoding="utf-8"), source, page))
    write(MADE / "command_reference.md", command_reference())


def redirect_links(app: Any, name: str, content: list[str]) -> None:
    """Point the links of a page that Sphinx has read."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md" and page.parent == DOCS:
        content[0] = redirected(content[0], page, page)


def signature_of(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str, str | None] | None:
    """Leave out the signature of a result: nobody calls it, and its attributes are listed."""
    hidden = dataclasses.is_dataclass(value) and name != "infobound.Config"
    return ("", None) if hidden else None


def skip(app: Any, what: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Skip the fields of a named tuple: its docstring describes them."""
    return True if type(value).__name__ == "_tuplegetter" else None


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", signature_of)
    app.connect("builder-inited", make_pages)
    app.connect("source-read", redirect_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
