"""The files audit.json and audit.html, and the verb `aggpose prepare audit`."""

import base64
import html.parser
import json
import os
import re

import numpy as np
import pytest

from aggpose_jax import cli, prepare
from aggpose_jax.data.audit import audit_directory
from aggpose_jax.data.audit.findings import KINDS
from aggpose_jax.data.audit.report import SHOWN, page, write_report
from aggpose_jax.data.images import read_image

VOID = {"meta", "img", "br", "th", "td", "tr", "li"}  # elements that need no end tag


class Page(html.parser.HTMLParser):
    """The pictures, links and text of a page; fails if elements are not closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.images, self.links, self.text, self._open, self.tags = [], [], "", [], set()
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for key, value in attributes if key in ("href", "src", "action")]
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def faulty(dataset, edited):
    """Plants faults of three kinds in `dataset`, and returns it."""
    with edited("train") as coco:
        for annotation in coco["annotations"][:15]:
            annotation["num_keypoints"] = 1
        coco["annotations"][20]["bbox"] = [-100, 0, 120, 120]
        coco["annotations"][20]["keypoints"] = [0] * 63
        coco["images"][0]["video_id"] = 1
    with edited("test") as coco:
        coco["images"][0]["video_id"] = 1
    return dataset


def test_the_page_has_a_limited_number_of_pictures_of_each_kind(faulty):
    text = page(audit_directory(faulty))
    parsed = Page(text)
    counts = {"video_in_two_splits": 1, "box_outside_image": 1, "unlabelled_person": 1, "wrong_num_keypoints": 16}
    assert len(parsed.images) == SHOWN + 3
    assert f"and {16 - SHOWN} more in audit.json" in parsed.text
    assert all(f"{KINDS[kind][1:]}: {count}" in parsed.text for kind, count in counts.items())
    assert all(image["alt"] and "synthetic_0000" in image["alt"] for image in parsed.images)


def test_the_page_needs_no_network_and_no_script(faulty):
    text = page(audit_directory(faulty))
    parsed = Page(text)
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in parsed.links)
    assert not parsed.tags & {"script", "link", "iframe"}
    assert "url(" not in text
    assert "@import" not in text
    for image in parsed.images:
        pixels = read_image(base64.b64decode(image["src"].partition(",")[2]))
        assert max(pixels.shape) <= 700
        assert np.ptp(pixels) > 50


def test_even_with_the_most_pictures_the_page_is_smaller_than_10_megabytes(faulty):
    largest = max(len(image["src"]) for image in Page(page(audit_directory(faulty))).images)
    assert largest * SHOWN * len(KINDS) < 10e6


def test_names_are_escaped(dataset, edited):
    name = "<img src=x onerror=alert(1)>&\"'.jpg"
    with edited("train") as coco:
        (dataset / "train" / coco["images"][0]["file_name"]).rename(dataset / "train" / name)
        coco["images"][0].update(file_name=name, video_id="<b>")
        coco["annotations"][0]["num_keypoints"] = "<script>"
        coco["images"][1]["file_name"] = "<script>.jpg"
    with edited("test") as coco:
        coco["images"][0]["video_id"] = "<b>"
    directory = dataset.rename(dataset.parent / "<data>")
    audit = audit_directory(directory)
    assert audit.counts() == {
        "video_in_two_splits": 1,
        "missing_image": 1,
        "unlisted_files": 1,
        "wrong_num_keypoints": 1,
    }
    text = page(audit)
    parsed = Page(text)
    assert name in parsed.text
    assert "Audit of <data>" in parsed.text
    assert not parsed.tags & {"script", "b", "data"}
    assert not re.search(r"<[^>]*onerror=[^>]*>", re.sub(r'alt="[^"]*"', "", text))


def test_a_file_name_that_is_no_text_can_be_reported(dataset):
    (dataset / "train" / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    write_report(audit_directory(dataset), dataset / "audit")
    assert "?.jpg" in (dataset / "audit" / "audit.html").read_text(encoding="utf-8")


def test_the_findings_are_written_as_json_and_a_second_audit_replaces_them(faulty, tmp_path, edited):
    out = tmp_path / "out"
    write_report(audit_directory(faulty), out)
    content = json.loads((out / "audit.json").read_text())
    assert content["counts"]["wrong_num_keypoints"] == 16
    assert len(content["findings"]) == sum(content["counts"].values())
    first = next(finding for finding in content["findings"] if finding["kind"] == "wrong_num_keypoints")
    assert (first["split"], first["image_id"], first["annotation_id"]) == ("train", 1, 1)
    assert first["file_name"].endswith("1.jpg")
    assert "num_keypoints is 1" in first["text"]
    with edited("train") as coco:
        coco["annotations"] = coco["annotations"][15:20]
    write_report(audit_directory(faulty), out)
    assert json.loads((out / "audit.json").read_text())["counts"] == {"video_in_two_splits": 1}
    assert sorted(path.name for path in out.iterdir()) == ["audit.html", "audit.json"]


def run(*arguments):
    cli.run(prepare.parser, prepare.main, ["audit", *map(str, arguments)])


def test_the_verb_ends_in_0_and_writes_a_report_if_nothing_is_found(dataset, capsys):
    run(dataset)
    out = capsys.readouterr().out
    assert "train: 22 images" in out
    assert "nothing was found" in out
    assert "Nothing was found" in (dataset / "audit" / "audit.html").read_text()
    run(dataset)  # The report is no part of the data.
    assert json.loads((dataset / "audit" / "audit.json").read_text())["findings"] == []


def test_the_verb_ends_in_1_with_one_line_if_something_is_found(faulty, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(faulty, "--splits", "train", "val", "--out", tmp_path / "out")
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert f"{KINDS['wrong_num_keypoints']}: 16" in out
    assert "test" not in re.sub(r"/\S*", "", out)
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "18 findings" in line
    assert str(tmp_path / "out" / "audit.html") in line
    assert not (faulty / "audit").exists()


@pytest.mark.parametrize("name", ["absent", ""])
def test_a_folder_without_data_is_an_error_of_one_line_and_nothing_is_written(tmp_path, capsys, name):
    with pytest.raises(SystemExit) as end:
        run(tmp_path / name)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / name) in line
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_an_error_of_one_line(dataset, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as end:
        run(dataset, "--out", tmp_path / "file" / "out")
    assert end.value.code == 1
    assert "error: " in capsys.readouterr().err.splitlines()[-1]
