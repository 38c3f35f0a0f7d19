"""Which images count as near-duplicates."""

import itertools

import cv2
import numpy as np
import pytest

from aggpose_jax.data.audit.hashes import best_matches, equal_images, fingerprints
from aggpose_jax.data.images import decode, encode_jpeg, read_image
from aggpose_jax.data.synthetic import SyntheticInfants

SIDE = 32


@pytest.fixture(scope="module")
def images(drawn) -> list[np.ndarray]:
    return [read_image(path) for path in sorted(drawn.glob("*/*.jpg"))]


def prints(images):
    grey = [cv2.cvtColor(np.ascontiguousarray(one), cv2.COLOR_RGB2GRAY) for one in images]
    return fingerprints(np.array([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in grey]))


def reencoded(image):
    return decode(encode_jpeg(image, 40))


def halved(image):
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def brighter(image):
    return cv2.add(image, np.full_like(image, 20))


def darker(image):
    return cv2.subtract(image, np.full_like(image, 20))


def mirrored(image):
    return np.ascontiguousarray(image[:, ::-1])


def changed_in_all_ways(image):
    return reencoded(halved(brighter(mirrored(image))))


@pytest.mark.parametrize("change", [mirrored, reencoded, halved, brighter, darker, changed_in_all_ways])
def test_a_changed_image_matches_its_original_and_no_other(images, change):
    matches = best_matches(prints([change(image) for image in images]), prints(images))
    assert [(match.image, match.other, match.matches) for match in matches] == [(i, i, 1) for i in range(len(images))]
    assert all(match.is_mirrored == (change in (mirrored, changed_in_all_ways)) for match in matches)
    assert min(match.correlation for match in matches) > 0.9


def test_the_hash_of_the_mirrored_image_is_known_without_it(images):
    originals, mirror_images = prints(images), prints([mirrored(image) for image in images])
    np.testing.assert_array_equal(originals.mirrored, mirror_images.hash)
    assert (np.bitwise_count(originals.hash) == 31).all()  # of 63 bits, the median is not above itself


def test_different_images_do_not_match(images):
    for i, j in itertools.combinations(range(0, len(images), 8), 2):
        assert best_matches(prints(images[i : i + 1]), prints(images[j : j + 1])) == []


@pytest.mark.slow
def test_no_two_of_500_synthetic_infants_match():
    drawn = prints([SyntheticInfants(500, seed=3)[i]["image"] for i in range(500)])
    assert [match.matches for match in best_matches(drawn, drawn)] == [1] * 500  # each matches itself only


def test_the_best_of_several_matches_is_given(images):
    others = prints([darker(images[0]), images[0], images[1], mirrored(images[0])])
    (match,) = best_matches(prints(images[:1]), others)
    assert (match.image, match.other, match.is_mirrored, match.matches) == (0, 1, False, 3)
    assert match.correlation == pytest.approx(1)


def test_blocks_do_not_change_the_matches(images, monkeypatch):
    changed, originals = prints([halved(image) for image in images]), prints(images)
    monkeypatch.setattr("aggpose_jax.data.audit.hashes.BLOCK", 70)  # two images of 32 at a time
    found = [(match.image, match.other) for match in best_matches(changed, originals)]
    assert found == [(i, i) for i in range(len(images))]


def test_uniform_images_are_not_compared(images):
    black = np.zeros_like(images[0])
    mixed = prints([black, images[0], black])
    assert mixed.index.tolist() == [1]
    assert [match.image for match in best_matches(mixed, mixed)] == [1]
    assert list(equal_images(prints([black, black]))) == []
    assert best_matches(prints([black]), mixed) == []


def test_equal_images_are_pairs_of_a_later_and_an_earlier_index(images):
    assert list(equal_images(prints([images[0], images[1], images[0], halved(images[2])]))) == [(2, 0)]
