"""Tests of the predictor: results equal to evaluation, batches, image types, weight files and error messages."""

import numpy as np
import pytest
from PIL import Image
from tiny import write_experiment, write_run

import aggpose_jax
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.inference.predictor import check_boxes, load
from aggpose_jax.runtime import sharding
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns the folder of a run of a tiny network, its task and its variables."""
    folder = tmp_path_factory.mktemp("run")
    return folder, *write_run(folder)


@pytest.fixture(scope="module")
def model(run):
    loaded = aggpose_jax.load(run[0])
    loaded.batch_sizes = (1, 16)  # as on accelerators, but with one size less to compile
    return loaded


def test_predict_equals_evaluate(run, model):
    _, task, variables = run
    results = {r["image_id"]: r["keypoints"] for r in task.evaluate(variables, sharding.make_mesh()).results}
    source = SyntheticInfants(20, split="test")
    for index in (0, 7, 19):
        predicted = model.predict(source[index]["image"], [source[index]["box"]])
        assert predicted.shape == (1, 21, 3)
        expected = np.reshape(results[source[index]["image_id"]], (1, 21, 3))
        np.testing.assert_allclose(predicted[..., :2], expected[..., :2], atol=0.01)
        np.testing.assert_allclose(predicted[..., 2], expected[..., 2], rtol=1e-3)


def test_batch_size_does_not_change_the_keypoints(model):
    source = SyntheticInfants(18, split="test")
    crops = [(record["image"], model.view(record["box"])) for record in (source[i] for i in range(18))]
    alone = np.concatenate([model.estimate([crop]) for crop in crops])
    assert alone.shape == (18, 21, 3)
    assert np.ptp(alone[..., :2], axis=0).max() > 10  # the crops differ
    for count in (2, 4, 16, 18):
        np.testing.assert_allclose(model.estimate(crops[:count])[..., :2], alone[:count, :, :2], atol=0.01)


def test_only_the_batch_sizes_are_compiled(model):
    record = SyntheticInfants(1)[0]
    for count in range(1, 20):
        model.estimate([(record["image"], model.view(record["box"]))] * count)
    assert model._model.estimate._cache_size() <= 2
    assert model.estimate([]).shape == (0, 21, 3)


def test_grey_and_transparent_images_are_accepted(model, tmp_path):
    image = SyntheticInfants(1)[0]["image"]
    Image.fromarray(image).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([image, np.full((240, 320), 7, np.uint8)])).save(tmp_path / "alpha.png")
    Image.fromarray(image).convert("L").save(tmp_path / "grey.png")
    box = [[50, 40, 100, 150]]
    expected = model.predict(image, box)
    for name in ("rgb.png", "alpha.png"):
        np.testing.assert_array_equal(model.predict(tmp_path / name, box), expected)
    assert np.isfinite(model.predict(tmp_path / "grey.png", box)).all()


def test_weight_file_needs_an_experiment_with_the_same_keypoints(run, model, tmp_path):
    folder, task, variables = run
    file = tmp_path / "weights.safetensors"
    weight_files.write(file, write_state_dict(task.model, variables))
    with pytest.raises(UserError, match=r"weights\.safetensors: .*--config"):
        load(file)
    experiment = write_experiment(folder)
    loaded = load(file, str(experiment))
    image = SyntheticInfants(1)[0]["image"]
    box = [[9, 9, 99, 99]]
    np.testing.assert_allclose(loaded.predict(image, box), model.predict(image, box), rtol=1e-4)
    with pytest.raises(UserError, match=r" 21 .*keypoint_set .* 17\b"):
        load(file, str(experiment), ["keypoint_set=coco_17", "data=coco"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["keypoint_set=coco_17", "data=coco"], "infant_21.*coco_17"),
        (["model.name=mit_pose_b0"], "mit_pose_tiny"),
        (["flip_tst=False"], "flip_tst.*flip_test"),
    ],
)
def test_overrides_that_do_not_fit_the_run_are_named(run, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        load(run[0], overrides=overrides)
    assert "\n" not in str(raised.value)


def test_missing_run_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: "):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[5, 5, 0, 10]], r"box \(5, 5, 0, 10\)"),
        ([[5, 5, 10, -1]], r"box \(5, 5, 10, -1\)"),
        ([[5, 5, float("nan"), 1]], r"box \(5, 5, nan, 1\)"),
        ([[320, 5, 10, 10]], r"box \(320, 5, 10, 10\) .*320 × 240"),
        ([[-500, 5, 10, 10]], r"box \(-500, 5, 10, 10\) .*320 × 240"),
        ([[1, 2, 3]], r"\[P, 4\]"),
    ],
)
def test_unusable_boxes_are_named(boxes, message):
    with pytest.raises(UserError, match=message):
        check_boxes(boxes, (240, 320))


def test_box_partly_outside_the_image_is_accepted():
    np.testing.assert_array_equal(check_boxes([[-5, -5, 10, 10]], (240, 320)), [[-5, -5, 10, 10]])
