"""Fitting of calibrations: small examples by hand, and simulated infants of whom the errors are known."""

import known_films
import numpy as np
import pytest
from scipy import stats

from aggpose_jax.errors import UserError
from aggpose_jax.recordings import recording
from aggpose_jax.timeseries import fitting, truth
from aggpose_jax.timeseries.calibration import CLOSE, Calibration


def simulate(infants: int, frames: int, keypoints: int = 2, seed: int = 0, of_infant: float = 0.0):
    """Draws errors, scores [N, K] and the infant of each row; `of_infant` is the spread of the infants' log errors."""
    rng = np.random.default_rng(seed)
    infant = np.repeat(np.arange(infants), frames)
    score = np.clip(rng.beta(4, 2, infants)[infant, None] + rng.normal(0, 0.15, (len(infant), keypoints)), 0, 1)
    size = known_films.spread(score) * np.exp(of_infant * rng.normal(size=infants))[infant, None]
    return size * rng.rayleigh(size=score.shape), score, infant


def test_curves_pool_the_means_that_are_out_of_order():
    score, error = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.05, 0.15, 0.01])
    confidence, expected, probability = fitting.isotonic_curves(score, error)
    np.testing.assert_allclose(confidence, score)
    np.testing.assert_allclose(expected, [0.5, 0.1, 0.1, 0.01])
    np.testing.assert_allclose(probability, [0, 0.5, 0.5, 1])


def test_equal_scores_have_one_point_and_a_perfect_network_a_tiny_error():
    confidence, expected, probability = fitting.isotonic_curves(np.ones(500), np.zeros(500))
    assert confidence.tolist() == [1]
    assert probability.tolist() == [1]
    assert 0 < expected[0] < 1e-5


def test_curves_are_near_the_errors_and_probabilities_of_the_simulation():
    error, score, infant = simulate(200, 50)
    for curve in fitting.fit_curves(error, score, infant):
        inside = slice(5, -5)
        at = curve.confidence[inside]
        np.testing.assert_allclose(curve.expected_error[inside], known_films.expected_error(at), rtol=0.15)
        below = stats.rayleigh.cdf(CLOSE, scale=known_films.spread(at))
        np.testing.assert_allclose(curve.probability[inside], below, atol=0.06)
        assert curve.infants == 200
        assert (np.diff(curve.confidence) > 0).all()
        assert (np.diff(curve.expected_error) <= 0).all()
        assert (np.diff(curve.probability) >= 0).all()


def test_the_bound_of_one_point_an_infant_is_the_quantile_of_rayleigh_errors():
    rng = np.random.default_rng(1)
    found = fitting.bound_factor(np.full(4000, 0.5), rng.rayleigh(size=4000), np.arange(4000))
    assert found == pytest.approx(np.sqrt(-2 * np.log(0.1)) / np.sqrt(np.pi / 2), rel=0.03)


def test_each_infant_counts_the_same_in_the_bound():
    infant = np.concatenate(
        [np.arange(49), np.full(951, 49)]
    )  # one infant has most of the points, and the large errors
    error = np.where(infant == 49, 5.0, 1.0)
    assert fitting.bound_factor(np.full(1000, 0.5), error, infant) < 2
    ten = np.repeat(np.arange(50), 20)
    many = np.where(ten < 10, 5.0, 1.0)
    assert fitting.bound_factor(np.full(1000, 0.5), many, ten) > 2


def test_the_bound_covers_nine_of_ten_errors_of_other_infants_who_differ():
    covered = []
    for seed in range(5):
        curve, *_ = fitting.fit_curves(*simulate(200, 20, 1, seed, of_infant=0.5))
        error, score, _ = simulate(400, 20, 1, seed + 100, of_infant=0.5)
        expected = np.interp(score, curve.confidence, curve.expected_error)
        covered.append((error <= curve.bound_factor * expected).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_keypoints_of_too_few_infants_share_the_curve_of_all():
    error, score, infant = simulate(130, 10, 3)
    error[infant >= 119, 2] = np.nan
    score[infant == 0, 1] = np.nan
    first, second, third = fitting.fit_curves(error, score, infant)
    assert (first.infants, second.infants, third.infants) == (130, 129, 119)
    known = np.isfinite(error) & np.isfinite(score)
    everything = fitting.isotonic_curves(score[known], error[known])
    np.testing.assert_allclose(third.confidence, everything[0], rtol=1e-6)
    np.testing.assert_allclose(third.expected_error, everything[1], rtol=1e-6)
    for curve, k in ((first, 0), (second, 1)):
        own = fitting.isotonic_curves(score[known[:, k], k], error[known[:, k], k])
        np.testing.assert_array_equal(curve.expected_error, own[1])


def test_a_keypoint_that_is_never_labelled_has_the_curve_of_all():
    error, score, infant = simulate(30, 10, 3)
    error[:, 1] = np.nan
    curves = fitting.fit_curves(error, score, infant)
    assert [curve.infants for curve in curves] == [30, 0, 30]
    assert curves[0].bound_factor == curves[1].bound_factor


def test_a_calibration_holds_for_infants_that_it_was_not_fitted_to():
    names = ("a", "b", "c")
    curves = fitting.fit_curves(*simulate(200, 30, 3, seed=3, of_infant=0.2))
    found = Calibration("x", names, "simulated", 200, 200, curves, {}, {})
    error, score, _ = simulate(120, 30, 3, seed=4, of_infant=0.2)
    expected, probability = found.expected_error(score).ravel(), found.probability(score).ravel()
    for part in np.array_split(np.argsort(expected, kind="stable"), 10):
        assert error.ravel()[part].mean() == pytest.approx(expected[part].mean(), rel=0.2)
    covered = error <= found.bound(score)
    assert covered.mean() == pytest.approx(0.9, abs=0.04)
    assert ((covered.mean(axis=0) > 0.8) & (covered.mean(axis=0) < 0.97)).all()
    right = [(error.ravel()[probability >= limit] < CLOSE).mean() for limit in np.arange(0, 0.9, 0.1)]
    assert min(np.diff(right)) > -0.01
    assert right[-1] > right[0] + 0.1


@pytest.mark.parametrize("unknown", [False, True])
def test_too_few_infants_are_an_error(unknown):
    error, score, infant = simulate(30 if unknown else 19, 10)
    error[infant >= 19] = np.nan
    with pytest.raises(UserError, match="errors of 19 infants"):
        fitting.fit_curves(error, score, infant)


def read_films(folder, films: int, frames: int) -> list[truth.Film]:
    results, truths = known_films.write_films(folder, films, frames)
    places = recording.find_recordings(results)
    return [truth.match(recording.read(place), truths / f"{place.name}.json") for place in places]


def test_films_become_a_calibration(tmp_path):
    films = read_films(tmp_path, 20, 150)
    found = fitting.fit(films, "stick figures", lambda recording, calibration: recording.position)
    assert (found.digest, found.domain, found.films, found.infants) == ("network-1", "stick figures", 20, 20)
    assert found.keypoints == films[0].recording.keypoint_set.names
    confidence = np.full(17, 0.7)
    np.testing.assert_allclose(found.expected_error(confidence), known_films.expected_error(0.7), rtol=0.1)
    assert found.reliability["left_wrist_x_median"].rho > 0.95
    assert found.reliability["left_wrist_x_median"].films == 20
    # White noise with the variance s² of each coordinate has the power 2 s² · 0.9 Hz / 15 Hz in a band of 0.9 Hz.
    variance = np.mean([np.nanvar(film.offset[:, 9], axis=0).sum() for film in films])
    assert found.amplitude["left_wrist"]["0.9-1.8"] == pytest.approx(np.sqrt(2 * variance * 0.9 / 15), rel=0.15)


def test_features_are_computed_from_the_positions_of_the_function(tmp_path):
    films = read_films(tmp_path, 20, 40)
    truth_of = {film.recording.name: film.truth for film in films}
    found = fitting.fit(films, "stick figures", lambda recording, calibration: truth_of[recording.name])
    assert found.reliability["left_wrist_speed_median"].rho > 0.99  # only the unit is still that of the network


def test_films_of_the_same_infant_count_once(tmp_path):
    films = [truth.Film(f.recording, f.truth, str(i // 2), f.length) for i, f in enumerate(read_films(tmp_path, 40, 2))]
    found = fitting.fit(films, "stick figures", lambda recording, calibration: recording.position)
    assert (found.films, found.infants) == (40, 20)
    assert np.isnan(found.amplitude["nose"]["0.9-1.8"])
    assert np.isnan(found.reliability["left_wrist_x_median"].rho)
