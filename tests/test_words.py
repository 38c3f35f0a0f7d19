"""No text of the project uses private words where the field has a standard one."""

import pathlib
import re

import pytest
from programs import ROOT

SUFFIXES = {".py", ".md", ".sh", ".toml", ".yaml", ".sbatch", ".ipynb", ".cff"}
FOLDERS = ("aggpose_jax", "configs", "examples", "launch", "tests", "third_party")
INSTEAD = {  # regular expression of the private word: the standard word
    r"mend(s|ed|ing)?": "fix",
    r"seal(s|ed)?": "checksum manifest, verified",
    r"dolls?": "stick figure",
    r"told to (stop|go)": "received SIGTERM, preempted",
    r"foreign (weights|tensors)": "PyTorch weights, state dict",
    r"speaks? for": "count towards the instance score",
    r"goes on": "resumes, continues",
    r"libraries say": "messages of libraries",
    r"layers from (the )?head": "layer-decay depth",
    r"(dense|gathered) form": "masked full encode, visible-patch encode",
    r"(kept|dropped) units?": "visible patches, masked patches",
}


def texts() -> list[pathlib.Path]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return [*files, *ROOT.glob("*.md"), ROOT / "CITATION.cff", ROOT / "pyproject.toml"]


@pytest.mark.parametrize("word", INSTEAD)
def test_no_text_uses_a_private_word(word):
    pattern = re.compile(rf"\b({word})\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        if path != pathlib.Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"write {INSTEAD[word]!r}"
