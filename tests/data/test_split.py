"""Splits by video and by infant."""

import collections
import json

import numpy as np
import pytest

from aggpose_jax.data import split
from aggpose_jax.errors import UserError

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def test_no_group_crosses_and_sizes_are_within_one_of_the_shares():
    rng = np.random.default_rng(0)
    for seed in range(1000):
        frames = rng.integers(0, rng.integers(1, 40), 60).astype(str).tolist()  # the video of each frame
        groups = sorted(set(frames))
        shares = dict(zip(SHARES, rng.dirichlet((1, 1, 1)), strict=True))
        labels = dict(zip(groups, rng.choice(["a", "b", "c"], len(groups)).tolist(), strict=True))
        split_of = split.assign(frames, shares, seed, labels if seed % 2 else None)
        assert split_of.keys() == set(groups)
        sizes = collections.Counter(split_of.values())
        for name, share in shares.items():
            assert abs(sizes[name] - share * len(groups)) < 1


def test_each_label_is_spread_over_the_splits():
    groups = [f"{label}{i}" for label in "abcd" for i in range(50)]
    split_of = split.assign(groups, SHARES, 3, {group: group[0] for group in groups})
    for label in "abcd":
        sizes = collections.Counter(split_of[group] for group in groups if group[0] == label)
        assert all(abs(sizes[name] - 50 * share) <= 1 for name, share in SHARES.items())


def test_a_split_is_a_function_of_the_seed_and_not_of_the_order_of_frames():
    groups = [str(i) for i in range(30)]
    first = split.assign(groups, SHARES, 1)
    assert first == split.assign(groups[::-1], SHARES, 1)
    assert first != split.assign(groups, SHARES, 2)


@pytest.fixture
def dataset(tmp_path):
    """A function that writes twenty frames of ten videos with fields of the caller's, and returns their folder."""

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
    options = {"shares": SHARES, "seed": 0, **options}
    return split.split_directory(folder / "all.json", folder, out, **options)


def videos(out, name, field="video_id") -> set:
    part = json.loads((out / "annotations" / f"person_keypoints_{name}.json").read_text())
    for image, annotation in zip(part["images"], part["annotations"], strict=True):
        assert annotation["image_id"] == image["id"]
        assert (out / name / image["file_name"]).read_bytes() == bytes([image["id"]])
    assert len(list((out / name).iterdir())) == len(part["images"])
    return {image[field] for image in part["images"]}


def test_a_directory_is_split_by_video(dataset, tmp_path):
    out = tmp_path / "out"
    assert run(dataset(), out) == {"train": 7, "val": 1, "test": 2}
    parts = [videos(out, name) for name in SHARES]
    assert [len(part) for part in parts] == [7, 1, 2]
    assert set.union(*parts) == set(range(10))


def test_a_directory_is_split_by_infant_where_each_image_names_one(dataset, tmp_path):
    out = tmp_path / "out"
    run(dataset(infant_id=lambda i: i // 4), out)  # two videos of each of five infants
    parts = [videos(out, name, "infant_id") for name in SHARES]
    assert set.union(*parts) == set(range(5))
    assert sum(map(len, parts)) == 5


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"infant_id": lambda i: i % 2}, {}, r"video \d would be in .* infant_id"),
        ({}, {"label": "skin"}, "image 0 has no skin"),
        ({"skin": lambda i: i}, {"label": "skin"}, "several values of skin"),
        ({}, {"shares": {"train": 0.5, "val": 0.1, "test": 0.1}}, "do not sum to 1"),
        ({"file_name": lambda i: f"missing{i}.jpg"}, {}, r"missing0\.jpg is missing, and 19 more"),
        ({"file_name": lambda i: f"../raw/{i}.jpg"}, {}, r"image 0 .*\.\./raw/0\.jpg"),
        ({"file_name": lambda i: f"/{i}.jpg"}, {}, r"image 0 .*/0\.jpg"),
    ],
)
def test_what_cannot_be_split_leaves_no_folder(dataset, tmp_path, fields, options, message):
    with pytest.raises(UserError, match=message):
        run(dataset(**fields), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_stays_as_it_is(dataset, tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        run(dataset(), tmp_path)
    assert (tmp_path / "other.txt").read_text() == "mine"
