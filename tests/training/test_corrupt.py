"""Training beside images that cannot be read."""

import itertools
import pathlib

import numpy as np
import pytest

from aggpose_jax.data import files
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.training import corrupt
from aggpose_jax.training.config import default_config, shrink
from aggpose_jax.training.tasks import PoseTask

RECORDS = 50
BROKEN = {f"synthetic_{number:06}.jpg" for number in (7,)}  # 2 %
BATCHES = 2 * RECORDS // 5  # two epochs


def task_of(directory: pathlib.Path) -> PoseTask:
    config = shrink(default_config())
    config.keypoint_set, config.data_dir, config.train_split = "infant_21", str(directory), "train"
    config.batch_size, config.input_size = 5, (64, 64)
    return PoseTask(config)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clean")
    files.write_coco(SyntheticInfants(RECORDS), directory, "train")
    return directory


@pytest.fixture(scope="module")
def planted(clean, tmp_path_factory):
    """The same directory with 2 % of its images cut short."""
    directory = tmp_path_factory.mktemp("planted")
    for folder in ("train", "annotations"):
        (directory / folder).mkdir()
        for file in (clean / folder).iterdir():
            content = file.read_bytes()
            (directory / folder / file.name).write_bytes(content[:-500] if file.name in BROKEN else content)
    return directory


def batches_of(directory, workdir, most=0.02, start=0, count=BATCHES) -> list[dict]:
    task = task_of(directory)
    batches = corrupt.watch(task.train_batches(start), task.train_source, most, workdir)
    return list(itertools.islice(batches, count))


def test_only_the_corrupt_example_differs_and_has_no_weight(clean, planted, tmp_path):
    ours, expected = batches_of(planted, tmp_path), batches_of(clean, tmp_path / "clean")
    blank = 0
    for a, b in zip(ours, expected, strict=True):
        whole = a["valid"] == 1
        blank += (~whole).sum()
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name][whole], b[name][whole])
        np.testing.assert_array_equal(a["id"], b["id"])
        assert not a["weight"][~whole].any()
    assert blank == 2  # once an epoch


def test_they_are_named_and_the_same_on_a_repeated_and_a_resumed_run(planted, tmp_path):
    names = [f"train/{name}" for name in sorted(BROKEN)]
    batches_of(planted, tmp_path)
    assert (tmp_path / corrupt.FILE).read_text().splitlines() == names
    batches_of(planted, tmp_path, start=3)
    assert (tmp_path / corrupt.FILE).read_text().splitlines() == names


def test_no_file_where_all_is_well(clean, tmp_path):
    batches_of(clean, tmp_path, count=10)
    assert not (tmp_path / corrupt.FILE).exists()


def test_above_the_share_the_run_stops(planted, tmp_path):
    with pytest.raises(UserError, match=r"1 images cannot be read, .* most_corrupt = 0.019 of 50; .*corrupt_images"):
        batches_of(planted, tmp_path, most=0.019)
    assert (tmp_path / corrupt.FILE).exists()


def test_the_loss_of_the_others_is_what_it_was_up_to_their_weight(clean, planted, tmp_path):
    """A batch of five with one blank: the sum of the squared errors of the other four, over five."""
    import jax

    ours, expected = batches_of(planted, tmp_path), batches_of(clean, tmp_path / "clean")
    number = next(i for i, batch in enumerate(ours) if not batch["valid"].all())
    task = task_of(clean)
    params = task.init(jax.random.key(0))
    without = dict(expected[number])
    without["weight"] = without["weight"] * ours[number]["valid"][:, None]
    loss = jax.jit(task.loss)
    key = jax.random.key(1)
    np.testing.assert_allclose(loss(params, ours[number], key)[0], loss(params, without, key)[0], rtol=1e-6)
