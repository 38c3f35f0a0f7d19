"""Tests of finding videos and images in files, folders and lists of paths."""

import os
import pathlib

import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.inference.sources import find_sources


def make(folder, *names):
    """Makes empty files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_of(inputs, out):
    """Returns the names of the sources in inputs, and those of their images."""
    sources = find_sources(inputs, out).sources
    return [source.name for source in sources if not source.files], [name for s in sources for name in s.files]


def test_videos_and_images_are_found_in_folders_and_lists(tmp_path):
    make(
        tmp_path,
        *("a/one.MP4", "a/b/two.mov", "a/.hidden.mp4", "a/out/one/overlay.mp4", "a/notes.doc", "c/x.png", "c/y.jpg"),
    )
    (tmp_path / "list.txt").write_text(f"{tmp_path}/c/x.png\n\n{tmp_path}/a/b/two.mov\n")
    out = tmp_path / "a" / "out"
    sources = find_sources([tmp_path / "a", tmp_path / "c"], out).sources
    assert [(s.name, s.files) for s in sources] == [("b/two", ()), ("one", ()), ("images", ("x.png", "y.jpg"))]
    assert [s.name for s in find_sources([tmp_path / "list.txt"], out).sources] == ["two", "images"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["nothing"], "nothing: "),
        (["notes.doc"], r"notes\.doc: "),
        (["empty"], "empty: "),
    ],
)
def test_unusable_inputs_are_named(tmp_path, inputs, message):
    make(tmp_path, "notes.doc", "empty/.x")
    with pytest.raises(UserError, match=message):
        find_sources([tmp_path / name for name in inputs], tmp_path / "out")


def test_a_list_may_begin_with_a_byte_order_mark_and_name_home_folders(tmp_path, monkeypatch):
    make(tmp_path, "a.mp4", "b.mp4")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf~/b.mp4\r\n~/a.mp4\r\n")
    assert names_of([tmp_path / "list.txt"], tmp_path / "out") == (["b", "a"], [])


def test_binary_list_is_named(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00film.mp4")
    with pytest.raises(UserError, match=r"list\.txt: "):
        find_sources([tmp_path / "list.txt"], tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["session1.mp4", "session1/close_up.mp4"], ["session1.mp4", "session1/close_up"]),
        (["a.mp4", "a.mov"], ["a.mov", "a.mp4"]),
        (["a.mp4", "a.mov", "a.mp4.avi"], ["a.mov", "a.mp4", "a.mp4.avi"]),
        (["a.mp4", "a/b.mp4", "a/b/c.mp4"], ["a.mp4", "a/b.mp4", "a/b/c"]),
        (["images.mp4", "manifest.json.mp4"], ["images.mp4", "manifest.json.mp4"]),
    ],
)
def test_no_folder_of_results_contains_that_of_another_source(tmp_path, files, expected):
    make(tmp_path / "in", *files)
    names, _ = names_of([tmp_path / "in"], tmp_path / "out")
    assert sorted(names) == expected


def test_images_have_a_folder_beside_those_of_videos(tmp_path):
    make(tmp_path, "images/film.mp4", "x.png")
    assert [source.name for source in find_sources([tmp_path], tmp_path / "out").sources] == ["images/film", "images_2"]


def test_equal_names_in_several_folders_are_told_apart(tmp_path):
    files = ["x/a/1.jpg", "x/b/1.jpg", "x/b/2.jpg", "x/a/film.mp4", "x/b/film.mp4"]
    make(tmp_path, *files)
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path / file}\n" for file in files))
    expected = ["a/film", "b/film"], ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    assert names_of([tmp_path / "list.txt"], tmp_path / "out") == expected
    assert names_of([tmp_path / "x" / "a", tmp_path / "x" / "b"], tmp_path / "out") == expected


def test_a_file_that_is_found_twice_counts_once(tmp_path):
    make(tmp_path, "in/film.mp4", "in/x.png")
    (tmp_path / "in" / "link.mp4").symlink_to("film.mp4")
    inputs = [tmp_path / "in", tmp_path / "in" / "x.png", tmp_path / "in" / ".." / "in" / "film.mp4"]
    assert names_of(inputs, tmp_path / "out") == (["film"], ["x.png"])


def test_results_inside_of_the_inputs_are_left_out_however_the_folders_are_written(tmp_path, monkeypatch):
    make(tmp_path, "in/film.mp4", "in/kp/film/overlay.mp4", "in/kp/film/sheet.jpg")
    (tmp_path / "linked").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    for given, out in (
        ("in", "in/kp"),
        (tmp_path / "in", "in/kp"),
        ("in", tmp_path / "in" / "kp"),
        ("linked", "in/kp"),
    ):
        assert names_of([pathlib.Path(given)], pathlib.Path(out)) == (["film"], [])


def test_results_of_other_jobs_inside_of_the_inputs_are_left_out(tmp_path):
    make(tmp_path, "film.mp4", "kp/film/sheet.jpg", "kp/film/overlay.mp4", "mine/x.png", "broken/y.png")
    manifest = tmp_path / "kp" / "manifest.json"
    manifest.write_text('{"settings": {}, "done": {}, "failed": {}}')
    (tmp_path / "mine" / "manifest.json").write_text('{"name": "of another program"}')
    (tmp_path / "broken" / "manifest.json").write_bytes(b"\xff{")
    assert names_of([tmp_path], tmp_path / "out") == (["film"], ["broken/y.png", "mine/x.png"])
    assert find_sources([tmp_path], tmp_path / "out").results == [tmp_path / "kp"]
    assert names_of([tmp_path / "kp"], tmp_path / "out") == (["film/overlay"], ["film/sheet.jpg"])  # named explicitly


def test_numbers_in_names_are_ordered_as_numbers(tmp_path):
    make(tmp_path, *(f"{i}.png" for i in (10, 9, 1, 100)), "b2/frame_10.png", "b2/frame_9.png", "b10/frame_1.png")
    expected = ["1.png", "9.png", "10.png", "100.png", "b2/frame_9.png", "b2/frame_10.png", "b10/frame_1.png"]
    assert names_of([tmp_path], tmp_path / "out") == ([], expected)


def test_names_that_are_not_text_are_escaped_reversibly(tmp_path):
    for name in (b"s\xe9ance.mp4", b"a\\xe9.png", "\u00e9.png".encode()):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    videos, images = names_of([tmp_path], tmp_path / "out")
    assert videos == [r"s\xe9ance"]
    assert sorted(images) == [r"a\\xe9.png", "\u00e9.png"]


def test_what_a_list_names_may_be_missing_and_a_list_may_name_itself(tmp_path):
    make(tmp_path, "film.mp4")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/gone.mp4\n{tmp_path}/notes.doc\n{tmp_path}/list.txt\n~/b.mp4\n")
    with (tmp_path / "list.txt").open("a") as file:
        file.write(f"{tmp_path}/film.mp4\n")
    sources = find_sources([tmp_path / "list.txt"], tmp_path / "out").sources
    assert [source.name for source in sources] == ["gone", "notes", "b", "film"]
    assert sources[2].paths == (pathlib.Path.home() / "b.mp4",)


def test_a_folder_named_like_a_video_is_searched_and_a_broken_link_is_a_source(tmp_path):
    make(tmp_path, "in/session.mp4/film.mp4")
    (tmp_path / "in" / "broken.mp4").symlink_to("nowhere.mp4")
    assert names_of([tmp_path / "in"], tmp_path / "out") == (["broken", "session.mp4/film"], [])


def test_images_and_videos_of_unsupported_formats_are_listed(tmp_path):
    make(tmp_path, "a.heic", "b/c.gif", "d.flv", "e.txt", "f.webp", ".g.gif", "out/h.gif", "no_suffix")
    assert [path.name for path in find_sources([tmp_path], tmp_path / "out").skipped] == ["a.heic", "c.gif", "d.flv"]
