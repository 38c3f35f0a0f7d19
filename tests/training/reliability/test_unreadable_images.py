"""Training beside images that cannot be read."""

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


def task_of(directory: pathlib.Path) -> PoseTask:
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
def planted(clean, tmp_path_factory):
    """The same directory with 2 % of its images cut short."""
    directory = tmp_path_factory.mktemp("planted")
    for folder in ("train", "annotations"):
        (directory / folder).mkdir()
        for file in (clean / folder).iterdir():
            content = file.read_bytes()
            (directory / folder / file.name).write_bytes(content[:-500] if file.name in BROKEN else content)
    return directory


def batches_of(directory, workdir, limit=0.02, start=0, count=BATCHES) -> list[dict]:
    task = task_of(directory)
    batches = unreadable_images.listed(task.train_batches(start), task.train_source, limit, workdir)
    return list(itertools.islice(batches, count))


def test_only_the_unreadable_example_differs_and_has_no_weight(clean, planted, tmp_path):
    ours, expected = batches_of(planted, tmp_path), batches_of(clean, tmp_path / "clean")
    invalid = 0
    for a, b in zip(ours, expected, strict=True):
        valid = a["valid"] == 1
        invalid += (~valid).sum()
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name][valid], b[name][valid])
        np.testing.assert_array_equal(a["id"], b["id"])
        assert not a["weight"][~valid].any()
    assert invalid == 2  # once an epoch


def test_they_are_listed_and_the_same_in_a_repeated_and_a_resumed_run(planted, tmp_path):
    names = [f"train/{name}" for name in sorted(BROKEN)]
    batches_of(planted, tmp_path)
    assert (tmp_path / unreadable_images.FILE).read_text().splitlines() == names
    batches_of(planted, tmp_path, start=3)
    assert (tmp_path / unreadable_images.FILE).read_text().splitlines() == names


def test_each_is_logged_once(planted, tmp_path):
    task, lines = task_of(planted), []
    batches = unreadable_images.listed(task.train_batches(0), task.train_source, 0.02, tmp_path, lines.append)
    list(itertools.islice(batches, BATCHES))
    (line,) = lines
    assert line.startswith("1 of 50 training images cannot be read, training continues without: ")
    assert "synthetic_000007.jpg is cut short" in line


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read (No such file or directory); check the path"),
        (b"", "is no JPEG or PNG image; replace it, or leave it out"),
        (b"<html>not found</html>", "is no JPEG or PNG image"),
        ("short", "is cut short; replace it, or leave it out"),
    ],
)
def test_each_kind_of_bad_image_ends_an_evaluation_and_a_training_that_allows_none(tmp_path, content, fault):
    writers.write_coco(SyntheticInfants(5), tmp_path, "train")
    image = tmp_path / "train" / "synthetic_000003.jpg"
    if content is None:
        image.unlink()
    else:
        image.write_bytes(content if isinstance(content, bytes) else image.read_bytes()[:-100])
    message = re.escape(f"{image} {fault}")
    with pytest.raises(UserError, match=f"^1 of 5 training images cannot be read, .*{message}"):
        batches_of(tmp_path, tmp_path, limit=0, count=1)
    task = task_of(tmp_path)
    with pytest.raises(UserError, match=f"^{message}") as raised:
        task.evaluate({}, make_mesh())
    assert "\n" not in str(raised.value)


def test_no_file_where_all_is_well(clean, tmp_path):
    batches_of(clean, tmp_path, count=10)
    assert not (tmp_path / unreadable_images.FILE).exists()


def test_above_the_limit_the_run_stops(planted, tmp_path):
    message = r"^1 of 50 training images cannot be read, .* most_corrupt = 0\.019: .*7\.jpg is cut short.*corrupt_im"
    with pytest.raises(UserError, match=message):
        batches_of(planted, tmp_path, limit=0.019)
    assert (tmp_path / unreadable_images.FILE).exists()


def test_the_loss_of_the_others_is_what_it_was_up_to_their_weight(clean, planted, tmp_path):
    """A batch of five with one invalid: the sum of the squared errors of the other four, over five."""
    import jax

    ours, expected = batches_of(planted, tmp_path), batches_of(clean, tmp_path / "clean")
    number = next(i for i, batch in enumerate(ours) if not batch["valid"].all())
    task = task_of(clean)
    rng, shapes = np.random.default_rng(0), jax.eval_shape(task.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: 0.1 * rng.standard_normal(leaf.shape, np.float32), shapes)
    without = dict(expected[number])
    without["weight"] = without["weight"] * ours[number]["valid"][:, None]
    loss = jax.jit(task.loss)
    key = jax.random.key(1)
    np.testing.assert_allclose(loss(params, ours[number], key)[0], loss(params, without, key)[0], rtol=1e-6)
