"""A trained network on images: what it gives is what evaluation gives, alone or in a batch."""

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
    """The folder of a run of a tiny network, its task and its parameters."""
    folder = tmp_path_factory.mktemp("run")
    return folder, *write_run(folder)


@pytest.fixture(scope="module")
def model(run):
    loaded = aggpose_jax.load(run[0])
    loaded.batch_sizes = (1, 16)  # as on accelerators, with a program less to compile
    return loaded


def test_predict_gives_what_evaluate_gives(run, model):
    _, task, variables = run
    results = {r["image_id"]: r["keypoints"] for r in task.evaluate(variables, sharding.make_mesh()).results}
    source = SyntheticInfants(20, split="test")
    for index in (0, 7, 19):
        predicted = model.predict(source[index]["image"], [source[index]["box"]])
        assert predicted.shape == (1, 21, 3)
        expected = np.reshape(results[source[index]["image_id"]], (1, 21, 3))
        np.testing.assert_allclose(predicted[..., :2], expected[..., :2], atol=0.01)
        np.testing.assert_allclose(predicted[..., 2], expected[..., 2], rtol=1e-3)


def test_batches_of_any_size_give_the_same(model):
    source = SyntheticInfants(18, split="test")
    crops = [(record["image"], model.view(record["box"])) for record in (source[i] for i in range(18))]
    alone = np.concatenate([model.estimate([crop]) for crop in crops])
    assert alone.shape == (18, 21, 3)
    assert np.ptp(alone[..., :2], axis=0).max() > 10  # the crops differ
    for count in (2, 4, 16, 18):
        np.testing.assert_allclose(model.estimate(crops[:count])[..., :2], alone[:count, :, :2], atol=0.01)


def test_no_number_of_crops_needs_a_program_of_its_own(model):
    record = SyntheticInfants(1)[0]
    for count in range(1, 20):
        model.estimate([(record["image"], model.view(record["box"]))] * count)
    assert model._model.estimate._cache_size() <= 2
    assert model.estimate([]).shape == (0, 21, 3)


def test_grey_transparent_and_turned_images(model, tmp_path):
    image = SyntheticInfants(1)[0]["image"]
    Image.fromarray(image).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([image, np.full((240, 320), 7, np.uint8)])).save(tmp_path / "alpha.png")
    Image.fromarray(image).convert("L").save(tmp_path / "grey.png")
    box = [[50, 40, 100, 150]]
    expected = model.predict(image, box)
    for name in ("rgb.png", "alpha.png"):
        np.testing.assert_array_equal(model.predict(tmp_path / name, box), expected)
    assert np.isfinite(model.predict(tmp_path / "grey.png", box)).all()


def test_a_weight_file_with_its_experiment(run, model, tmp_path):
    folder, task, variables = run
    file = tmp_path / "weights.safetensors"
    weight_files.write(file, write_state_dict(task.model, variables))
    with pytest.raises(UserError, match=r"weights.safetensors: is a weight file; give --config"):
        load(file)
    experiment = write_experiment(folder)
    loaded = load(file, str(experiment))
    image = SyntheticInfants(1)[0]["image"]
    box = [[9, 9, 99, 99]]
    np.testing.assert_allclose(loaded.predict(image, box), model.predict(image, box), rtol=1e-4)
    with pytest.raises(UserError, match="finds 21 keypoints where keypoint_set has 17"):
        load(file, str(experiment), ["keypoint_set=coco_17", "data=coco"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["keypoint_set=coco_17", "data=coco"], "finds infant_21, not coco_17; give a run of that keypoint set"),
        (["model.name=mit_pose_b0"], "its weights fit"),
        (["flip_tst=False"], "no such key; the nearest is flip_test"),
    ],
)
def test_a_run_of_something_else(run, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        load(run[0], overrides=overrides)
    assert "\n" not in str(raised.value)


def test_no_run(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such run or weight file"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such file; a run's folder holds"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[5, 5, 0, 10]], r"box \(5, 5, 0, 10\) has no size"),
        ([[5, 5, 10, -1]], "has no size"),
        ([[5, 5, float("nan"), 1]], "has no size"),
        ([[320, 5, 10, 10]], "lies outside of the 320 × 240 image"),
        ([[-500, 5, 10, 10]], "lies outside"),
        ([[1, 2, 3]], r"boxes are not \[P, 4\]"),
    ],
)
def test_boxes_without_size_or_outside(boxes, message):
    with pytest.raises(UserError, match=message):
        check_boxes(boxes, (240, 320))


def test_a_box_partly_outside_is_good():
    np.testing.assert_array_equal(check_boxes([[-5, -5, 10, 10]], (240, 320)), [[-5, -5, 10, 10]])
