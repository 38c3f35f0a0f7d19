"""AP from stored matches equals pycocotools on the same images."""

import numpy as np
import pytest
from infant_truth import pose, results, truth

from aggpose_jax.evidence import average_precision
from aggpose_jax.evidence.units import read_units
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import coco_ap


def hard_case():
    """Returns a truth with crowds, small and large persons, empty images and ties of scores, and its results."""
    coco = truth([3, 1, 4, 2])
    found = results(coco, [0.05, 0.1, 0.15, 0.3])
    for i, annotation in enumerate(coco["annotations"]):
        annotation["area"] = [3000.0, 500.0, 20000.0, 40000.0][i % 4]
    coco["annotations"][4]["iscrowd"] = 1
    del coco["annotations"][7]
    extra = [{**found[i], "score": found[0]["score"], "keypoints": (pose() + i).ravel().tolist()} for i in (0, 2, 5, 8)]
    return coco, found[:9] + extra


def part(coco, found, names):
    ids = {image["id"] for image in coco["images"] if image["infant_id"] in names}
    kept = {
        key: [v for v in coco[key] if v[field] in ids] for key, field in (("images", "id"), ("annotations", "image_id"))
    }
    return {**coco, **kept}, [result for result in found if result["image_id"] in ids]


def matched(coco, found):
    units = read_units(coco, "infant_id")
    return units, average_precision.match(coco, found, INFANT_21, units.of_image, len(units))


@pytest.mark.parametrize("without", [None, 0, 1, 2, 3])
def test_accumulation_without_an_infant_equals_pycocotools_without_its_images(without):
    coco, found = hard_case()
    units, matches = matched(coco, found)
    included = np.arange(4) != without
    names = [name for name, keep in zip(units.names, included, strict=True) if keep]
    expected = coco_ap(*part(coco, found, names), INFANT_21)
    assert average_precision.accumulate(matches, included) == pytest.approx(expected, abs=1e-12)
    assert expected["AP"] > 0


def test_an_infant_alone_and_without_results_equals_pycocotools():
    coco, found = hard_case()
    found = [result for result in found if result["image_id"] > 3]
    units, matches = matched(coco, found)
    deleted, own = average_precision.by_infant(matches)
    assert own["AP"][0] == own["AR"][0] == 0
    for u, name in enumerate(units.names):
        alone = coco_ap(*part(coco, found, {name}), INFANT_21)
        for metric, value in alone.items():
            assert np.isnan(own[metric][u]) if value < 0 else own[metric][u] == pytest.approx(value, abs=1e-12)
    rest = coco_ap(*part(coco, found, set(units.names[1:])), INFANT_21)
    assert deleted["AP"][0] == pytest.approx(rest["AP"], abs=1e-12)


def test_exchanged_infants_equal_pycocotools_on_exchanged_results():
    coco, a = hard_case()
    b = results(coco | {"annotations": truth([3, 1, 4, 2])["annotations"]}, [0.2, 0.05, 0.1, 0.1], seed=1)
    units, first = matched(coco, a)
    second = matched(coco, b)[1]
    from_b = np.array([True, False, True, False])
    mixed = average_precision.accumulate(average_precision.join(first, second), np.concatenate([~from_b, from_b]))
    names = {image["id"]: units.names.index(image["infant_id"]) for image in coco["images"]}
    exchanged = [r for r in a if not from_b[names[r["image_id"]]]] + [r for r in b if from_b[names[r["image_id"]]]]
    assert mixed == pytest.approx(coco_ap(coco, exchanged, INFANT_21), abs=1e-12)


def test_no_detections_score_zero_and_no_persons_minus_one():
    coco, _ = hard_case()
    _, matches = matched(coco, [])
    assert average_precision.accumulate(matches, np.ones(4, bool))["AP"] == 0
    assert average_precision.accumulate(matches, np.zeros(4, bool))["AP"] == -1
