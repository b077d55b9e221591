"""Notebooks of the documentation run from top to bottom, each in a kernel of its own."""

import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs(path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    solved = [cell for cell in notebook.cells if re.search(r"neurho\.(solve|stationary)\(", cell.source)]
    assert len(solved) >= 2
    for cell in solved:
        assert all('value="1.0000"' in bar for bar in bars(cell))
        assert len(bars(cell)) == 1 or "for " in cell.source
        assert not any(output.get("name") == "stderr" for output in cell.outputs)
    tables = [output["data"]["text/html"] for output in solved[0].outputs if output.output_type == "execute_result"]
    assert len(tables) == 1
    assert "<table>" in tables[0]


def bars(cell):
    """Progress bars that a cell shows in the end."""
    shown = [output["data"].get("text/html", "") for output in cell.outputs if output.output_type == "display_data"]
    return [html for html in shown if "<progress" in html]


def test_notebooks_are_kept_without_what_they_printed():
    """Outputs would be out of date with the next change, and are large."""
    import json

    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert cells
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
