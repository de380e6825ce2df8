"""The notebook page runs from top to bottom, and its committed pictures are there."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

PAGE = Path(__file__).parents[1] / "examples" / "infonce.ipynb"


LESS = "n_iters=20, eval_every=10"
QUICK = f"folds=2, base='gaussian', {LESS}"
SHORTER = {  # less training: the page's words are the same, its numbers are those of the whole
    "n_iters=1500, eval_every=25": LESS,
    "estimate(x, y)": f"estimate(x, y, {QUICK})",
    "estimate(x, shuffled)": f"estimate(x, shuffled, {QUICK})",
}


def test_the_page_runs(tmp_path):
    page = nbformat.read(PAGE, as_version=4)
    for words, shorter in SHORTER.items():
        assert any(words in cell.source for cell in page.cells)
        for cell in page.cells:
            cell.source = cell.source.replace(words, shorter)
    NotebookClient(page, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(
        output.get("text", "") for cell in page.cells for output in cell.get("outputs", [])
    )
    assert "exact I(X;Y) = 4.982 nats" in printed
    assert "no dependence found" in printed


def test_the_committed_page_has_its_outputs_and_its_picture():
    page = nbformat.read(PAGE, as_version=4)
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    pictures = [o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
