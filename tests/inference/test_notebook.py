"""Test that executes the cells of the notebook in order, with the run of a tiny network."""

import json
import pathlib

import matplotlib
import pytest
from tiny import write_run

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples" / "predict.ipynb"


@pytest.mark.slow
def test_notebook_cells_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    (tmp_path / "runs" / "synthetic").mkdir(parents=True)
    write_run(tmp_path / "runs" / "synthetic")
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    names = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert names["keypoints"].shape == (1, 21, 3)
    assert names["found"].shape[1:] == (21, 3)
    assert (tmp_path / "film.mp4").exists()
