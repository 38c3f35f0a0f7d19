"""Training with some images that cannot be read."""

import itertools
import pathlib
import re

import numpy as np
import pytest

from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.runtime.sharding import make_mesh
from aggpose_jax.training.reliability import unreadable_images
from aggpose_jax.training.tasks import PoseTask

RECORDS = 50
BROKEN = {f"synthetic_{number:06}.jpg" for number in (7,)}  # 2 %
BATCHES = 2 * RECORDS // 5  # two epochs


def make_task(directory: pathlib.Path) -> PoseTask:
    config = debug_variant(default_config())
    config.keypoint_set, config.data_dir = "infant_21", str(directory)
    config.train_split = config.eval_split = "train"
    config.batch_size, config.input_size = 5, (64, 64)
    return PoseTask(config)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clean")
    writers.write_coco(SyntheticInfants(RECORDS), directory, "train")
    return directory


@pytest.fixture(scope="module")
def damaged(clean, tmp_path_factory):
    """Returns a copy of the directory with 2 % of its images truncated."""
    directory = tmp_path_factory.mktemp("damaged")
    for folder in ("train", "annotations"):
        (directory / folder).mkdir()
        for file in (clean / folder).iterdir():
            content = file.read_bytes()
            (directory / folder / file.name).write_bytes(content[:-500] if file.name in BROKEN else content)
    return directory


def listed_batches(directory, workdir, limit=0.02, start=0, count=BATCHES) -> list[dict]:
    task = make_task(directory)
    batches = unreadable_images.list_unreadable(task.train_batches(start), task.train_source, limit, workdir)
    return list(itertools.islice(batches, count))


def test_only_the_unreadable_example_differs_and_has_weight_0(clean, damaged, tmp_path):
    batches, expected = listed_batches(damaged, tmp_path), listed_batches(clean, tmp_path / "clean")
    invalid = 0
    for a, b in zip(batches, expected, strict=True):
        valid = a["valid"] == 1
        invalid += (~valid).sum()
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name][valid], b[name][valid])
        np.testing.assert_array_equal(a["id"], b["id"])
        assert not a["weight"][~valid].any()
    assert invalid == 2  # once in each of the two epochs


def test_the_list_is_the_same_after_a_resumed_run(damaged, tmp_path):
    names = [f"train/{name}" for name in sorted(BROKEN)]
    listed_batches(damaged, tmp_path)
    assert (tmp_path / unreadable_images.FILE).read_text().splitlines() == names
    listed_batches(damaged, tmp_path, start=3)
    assert (tmp_path / unreadable_images.FILE).read_text().splitlines() == names


def test_each_image_is_logged_once(damaged, tmp_path):
    task, lines = make_task(damaged), []
    batches = unreadable_images.list_unreadable(task.train_batches(0), task.train_source, 0.02, tmp_path, lines.append)
    list(itertools.islice(batches, BATCHES))
    (line,) = lines
    assert line.startswith("1 of 50 training images ")
    assert "synthetic_000007.jpg" in line


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is not a JPEG, PNG, "),
        (b"<html>not found</html>", "is not a JPEG, PNG, "),
        ("short", "is cut short"),
    ],
)
def test_each_fault_stops_an_evaluation_and_a_training_with_limit_0(tmp_path, content, fault):
    writers.write_coco(SyntheticInfants(5), tmp_path, "train")
    image = tmp_path / "train" / "synthetic_000003.jpg"
    if content is None:
        image.unlink()
    else:
        image.write_bytes(content if isinstance(content, bytes) else image.read_bytes()[:-100])
    message = re.escape(f"{image} {fault}")
    with pytest.raises(UserError, match=f"^1 of 5 training images .*{message}"):
        listed_batches(tmp_path, tmp_path, limit=0, count=1)
    task = make_task(tmp_path)
    with pytest.raises(UserError, match=f"^{message}") as raised:
        task.evaluate({}, make_mesh())
    assert "\n" not in str(raised.value)


def test_no_file_is_written_without_unreadable_images(clean, tmp_path):
    listed_batches(clean, tmp_path, count=10)
    assert not (tmp_path / unreadable_images.FILE).exists()


def test_the_run_stops_above_the_limit(damaged, tmp_path):
    message = r"^1 of 50 training images .* most_corrupt = 0\.019.* \S*corrupt_images\.txt.*7\.jpg"
    with pytest.raises(UserError, match=message):
        listed_batches(damaged, tmp_path, limit=0.019)
    assert (tmp_path / unreadable_images.FILE).exists()


def test_the_loss_is_that_of_the_readable_examples(clean, damaged, tmp_path):
    """With one invalid example in a batch of five, the loss is the sum over the other four divided by five."""
    import jax

    batches, expected = listed_batches(damaged, tmp_path), listed_batches(clean, tmp_path / "clean")
    number = next(i for i, batch in enumerate(batches) if not batch["valid"].all())
    task = make_task(clean)
    rng, shapes = np.random.default_rng(0), jax.eval_shape(task.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: 0.1 * rng.standard_normal(leaf.shape, np.float32), shapes)
    masked = dict(expected[number])
    masked["weight"] = masked["weight"] * batches[number]["valid"][:, None]
    loss = jax.jit(task.loss)
    key = jax.random.key(1)
    np.testing.assert_allclose(loss(params, batches[number], key)[0], loss(params, masked, key)[0], rtol=1e-6)
