"""Images, videos, infants and files that two splits share, and faults of image files."""

import shutil

import cv2
import pytest
from PIL import Image

from aggpose_jax.data.audit import audit_directory
from aggpose_jax.data.images import encode_jpeg, read_image

FIRST, SECOND = "synthetic_000001.jpg", "synthetic_000002.jpg"


@pytest.fixture(autouse=True)
def names(drawn):
    """Checks that these names are those of the data set."""
    for split in ("train", "val", "test"):
        assert (drawn / split / FIRST).exists()
        assert (drawn / split / SECOND).exists()


def test_a_mirrored_half_size_copy_in_another_split_is_found(dataset, edited):
    pixels = read_image(dataset / "train" / SECOND)[:, ::-1]
    (dataset / "test" / FIRST).write_bytes(encode_jpeg(cv2.resize(pixels, (160, 120)), 60))
    with edited("test") as coco:
        coco["images"][0].update(width=160, height=120)
        coco["annotations"] = [one for one in coco["annotations"] if one["image_id"] != coco["images"][0]["id"]]
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.split, finding.file_name) == ("near_duplicate", "test", FIRST)
    assert finding.other == f"train/{SECOND}"
    assert "mirrored" in finding.text


def test_an_image_that_is_twice_in_a_split_is_found_unless_it_is_of_one_video(dataset, edited):
    shutil.copy(dataset / "train" / FIRST, dataset / "train" / SECOND)
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.file_name, finding.other) == ("exact_duplicate", SECOND, f"train/{FIRST}")
    with edited("train") as coco:
        coco["images"][0]["video_id"] = coco["images"][1]["video_id"] = "v"
    assert audit_directory(dataset).findings == []


@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_a_link_to_a_file_of_another_split_is_found_once(dataset, link):
    (dataset / "val" / FIRST).unlink()
    getattr(dataset / "val" / FIRST, link)(dataset / "train" / FIRST)
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.split, finding.other) == ("same_file", "val", f"train/{FIRST}")


def test_a_file_that_is_listed_twice_in_a_split_is_found(dataset, edited):
    with edited("train") as coco:
        coco["images"].append({**coco["images"][0], "id": 99})
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.image_id) == ("same_file", 99)


@pytest.mark.parametrize(
    ("field", "kind"), [("video_id", "video_in_two_splits"), ("infant_id", "infant_in_two_splits")]
)
@pytest.mark.parametrize("value", [0, "a<b", [1, 2]])
def test_a_video_or_infant_in_two_splits_is_one_finding(dataset, edited, field, kind, value):
    for split in ("train", "test"):
        with edited(split) as coco:
            for image in coco["images"][:2]:
                image[field] = value
            coco["images"][3][field] = f"only in {split}"
            coco["images"][4][field] = None
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.split, finding.other) == (kind, "test", f"train/{FIRST}")
    assert "2 in train and 2 in test" in finding.text


def test_missing_and_unreadable_files_are_found(dataset):
    (dataset / "val" / FIRST).unlink()
    content = (dataset / "val" / SECOND).read_bytes()
    (dataset / "val" / SECOND).write_bytes(content[: len(content) // 2])
    (dataset / "test" / FIRST).write_text("text")
    audit = audit_directory(dataset)
    assert audit.counts() == {"missing_image": 1, "unreadable_image": 2}
    assert [finding.file_name for finding in audit.findings] == [FIRST, SECOND, FIRST]


def test_unlisted_images_are_one_finding_with_their_number(dataset):
    for name in ("new.png", "new.jpg", "notes.txt"):
        (dataset / "val" / name).write_bytes(b"")
    (finding,) = audit_directory(dataset).findings
    assert finding.kind == "unlisted_files"
    assert "2 image files" in finding.text
    assert "new.jpg, new.png" in finding.text


def test_another_size_than_listed_is_found_but_not_that_of_the_upright_image(dataset, edited):
    image = Image.open(dataset / "val" / FIRST)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    image.save(dataset / "val" / FIRST, exif=exif)
    assert audit_directory(dataset).findings == []  # as stored
    with edited("val") as coco:
        first = coco["images"][0]
        first["width"], first["height"] = first["height"], first["width"]
        coco["annotations"] = [one for one in coco["annotations"] if one["image_id"] != first["id"]]
    assert audit_directory(dataset).findings == []  # as displayed
    with edited("val") as coco:
        coco["images"][0]["width"] += 1
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.file_name) == ("wrong_size", FIRST)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_other_formats_are_compared_too(dataset, edited, suffix):
    Image.open(dataset / "train" / FIRST).save(dataset / "val" / f"copy{suffix}")
    with edited("val") as coco:
        coco["images"].append({**coco["images"][0], "id": 99, "file_name": f"copy{suffix}"})
    (finding,) = audit_directory(dataset).findings
    assert (finding.kind, finding.file_name, finding.other) == ("near_duplicate", f"copy{suffix}", f"train/{FIRST}")
