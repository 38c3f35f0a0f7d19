"""Splits by video and by infant."""

import collections
import json

import numpy as np
import pytest

from aggpose_jax.data import split
from aggpose_jax.errors import UserError

RATIOS = {"train": 0.7, "val": 0.1, "test": 0.2}


def test_each_group_is_in_one_split_and_sizes_are_within_one_of_the_ratios():
    rng = np.random.default_rng(0)
    for seed in range(1000):
        frames = rng.integers(0, rng.integers(1, 40), 60).astype(str).tolist()  # the video of each frame
        groups = sorted(set(frames))
        ratios = dict(zip(RATIOS, rng.dirichlet((1, 1, 1)), strict=True))
        labels = dict(zip(groups, rng.choice(["a", "b", "c"], len(groups)).tolist(), strict=True))
        split_of = split.assign(frames, ratios, seed, labels if seed % 2 else None)
        assert split_of.keys() == set(groups)
        sizes = collections.Counter(split_of.values())
        for name, ratio in ratios.items():
            assert abs(sizes[name] - ratio * len(groups)) < 1


def test_groups_with_the_same_label_are_spread_over_the_splits():
    groups = [f"{label}{i}" for label in "abcd" for i in range(50)]
    split_of = split.assign(groups, RATIOS, 3, {group: group[0] for group in groups})
    for label in "abcd":
        sizes = collections.Counter(split_of[group] for group in groups if group[0] == label)
        assert all(abs(sizes[name] - 50 * ratio) <= 1 for name, ratio in RATIOS.items())


def test_splits_depend_on_the_seed_and_not_on_the_order_of_frames():
    groups = [str(i) for i in range(30)]
    first = split.assign(groups, RATIOS, 1)
    assert first == split.assign(groups[::-1], RATIOS, 1)
    assert first != split.assign(groups, RATIOS, 2)


@pytest.fixture
def dataset(tmp_path):
    """Returns a function that writes 20 frames of 10 videos with the given image fields, and returns their folder."""

    def write(**fields):
        folder = tmp_path / "raw"
        folder.mkdir()
        images = []
        for i in range(20):
            (folder / f"{i}.jpg").write_bytes(bytes([i]))
            image = {"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 8, "video_id": i // 2}
            images.append(image | {name: value(i) for name, value in fields.items()})
        annotations = [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 4, 4], "keypoints": [1, 1, 2]} for i in range(20)
        ]
        (folder / "all.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
        return folder

    return write


def run(folder, out, **options):
    options = {"ratios": RATIOS, "seed": 0, **options}
    return split.split_directory(folder / "all.json", folder, out, **options)


def values(out, name, field="video_id") -> set:
    """Returns the values of an image field in a split, and checks the annotations and files of the images."""
    coco = json.loads((out / "annotations" / f"person_keypoints_{name}.json").read_text())
    for image, annotation in zip(coco["images"], coco["annotations"], strict=True):
        assert annotation["image_id"] == image["id"]
        assert (out / name / image["file_name"]).read_bytes() == bytes([image["id"]])
    assert len(list((out / name).iterdir())) == len(coco["images"])
    return {image[field] for image in coco["images"]}


def test_a_directory_is_split_by_video(dataset, tmp_path):
    out = tmp_path / "out"
    assert run(dataset(), out) == {"train": 7, "val": 1, "test": 2}
    splits = [values(out, name) for name in RATIOS]
    assert [len(videos) for videos in splits] == [7, 1, 2]
    assert set.union(*splits) == set(range(10))


def test_a_directory_is_split_by_infant_if_every_image_has_an_infant_id(dataset, tmp_path):
    out = tmp_path / "out"
    run(dataset(infant_id=lambda i: i // 4), out)  # two videos of each of five infants
    splits = [values(out, name, "infant_id") for name in RATIOS]
    assert set.union(*splits) == set(range(5))
    assert sum(map(len, splits)) == 5


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"infant_id": lambda i: i % 2}, {}, r"video \d would be in .* infant_id"),
        ({}, {"label": "skin"}, "image 0 .*skin"),
        ({"skin": lambda i: i}, {"label": "skin"}, "values of skin"),
        ({}, {"ratios": {"train": 0.5, "val": 0.1, "test": 0.1}}, "sum to 1"),
        ({"file_name": lambda i: f"missing{i}.jpg"}, {}, r"missing0\.jpg .*19"),
        ({"file_name": lambda i: f"../raw/{i}.jpg"}, {}, r"image 0 .*\.\./raw/0\.jpg"),
        ({"file_name": lambda i: f"/{i}.jpg"}, {}, r"image 0 .*/0\.jpg"),
    ],
)
def test_data_that_cannot_be_split_are_an_error_and_no_folder_is_written(dataset, tmp_path, fields, options, message):
    with pytest.raises(UserError, match=message):
        run(dataset(**fields), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_not_empty_is_an_error_and_unchanged(dataset, tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        run(dataset(), tmp_path)
    assert (tmp_path / "other.txt").read_text() == "mine"
