"""The notebook page runs from top to bottom, and its committed pictures are there."""

import contextlib
import io
from pathlib import Path

import nbformat

PAGE = Path(__file__).parents[1] / "examples" / "infonce.ipynb"


LESS = "n_iters=20, eval_every=10"
QUICK = f"folds=2, base='gaussian', {LESS}"
SHORTER = {  # less training: the page's words are the same, its numbers are those of the whole
    "n_iters=1500, eval_every=25": LESS,
    "estimate(x, y)": f"estimate(x, y, {QUICK})",
    "estimate(x, shuffled)": f"estimate(x, shuffled, {QUICK})",
}


def test_the_page_runs(tmp_path, monkeypatch):
    """Its code, cell by cell; a process of its own would import all libraries once more."""
    monkeypatch.chdir(tmp_path)
    cells = [c.source for c in nbformat.read(PAGE, as_version=4).cells if c.cell_type == "code"]
    for words in SHORTER:
        assert any(words in source for source in cells)
    names, written = {}, io.StringIO()
    for source in cells:
        for words, shorter in SHORTER.items():
            source = source.replace(words, shorter)
        with contextlib.redirect_stdout(written):
            exec(source, names)
    printed = written.getvalue()
    assert "exact I(X;Y) = 4.982 nats" in printed
    assert "no dependence found" in printed


def test_the_committed_page_has_its_outputs_and_its_picture():
    page = nbformat.read(PAGE, as_version=4)
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    pictures = [o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
