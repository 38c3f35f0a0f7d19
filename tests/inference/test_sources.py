"""Tests of finding videos and images in files, folders and lists of paths."""

import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.inference.sources import find_sources


def test_videos_and_images_are_found_in_folders_and_lists(tmp_path):
    for name in (
        "a/one.MP4",
        "a/b/two.mov",
        "a/.hidden.mp4",
        "a/out/one/overlay.mp4",
        "a/notes.doc",
        "c/x.png",
        "c/y.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(f"{tmp_path}/c/x.png\n\n{tmp_path}/a/b/two.mov\n")
    out = tmp_path / "a" / "out"
    sources = find_sources([tmp_path / "a", tmp_path / "c"], out)
    assert [(s.name, s.files) for s in sources] == [("b/two", ()), ("one", ()), ("images", ("x.png", "y.jpg"))]
    assert [s.name for s in find_sources([tmp_path / "list.txt"], out)] == ["two", "images"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["nothing"], "nothing: "),
        (["notes.doc"], r"notes\.doc: "),
        (["empty"], "empty: "),
        (["a.mp4", "other/a.mov"], r"a\.mp4 .*a\.mov .*out/a"),
        (["images.mp4", "x.png"], r"images\.mp4 .*x\.png .*out/images"),
    ],
)
def test_unusable_inputs_are_named(tmp_path, inputs, message):
    for name in ("notes.doc", "a.mp4", "other/a.mov", "images.mp4", "x.png", "empty/.x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        find_sources([tmp_path / name for name in inputs], tmp_path / "out")


def test_binary_list_is_named(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00film.mp4")
    with pytest.raises(UserError, match=r"list\.txt: "):
        find_sources([tmp_path / "list.txt"], tmp_path / "out")
