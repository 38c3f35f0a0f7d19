"""Reads boxes of the subject in films: from the results of prediction, or from a file of boxes."""

import json
import pathlib

import numpy as np

from aggpose_jax.data.boxes import read_tracks
from aggpose_jax.data.subject_boxes import FilmBoxes
from aggpose_jax.data.views import MIN_KEYPOINT_SCORE
from aggpose_jax.errors import UserError
from aggpose_jax.recordings import recording
from aggpose_jax.recordings.recording import Recording

MIN_KEYPOINTS = 2  # fewer keypoints span no box


def read(path: pathlib.Path) -> dict[str, FilmBoxes]:
    """Returns the boxes of films by their names.

    Args:
      path: folder of results that `predict` wrote for films, or a JSON file of boxes, see `boxes.read_tracks`.

    Raises:
      UserError: there are no results or boxes, or they cannot be read.
    """
    return _of_results(path) if path.is_dir() else _of_file(path)


def _of_results(folder: pathlib.Path) -> dict[str, FilmBoxes]:
    films = {}
    for results in recording.find_recordings(folder):
        name = folder.name if results == folder else results.relative_to(folder).as_posix()
        films[name] = of_recording(recording.read(results, name))
    return films


def of_recording(film: Recording) -> FilmBoxes:
    """Returns the boxes around the keypoints of the first person in each frame of a recording that score above .2."""
    poses, boxes = film.poses, {}
    for row, number in enumerate(poses.numbers.tolist()):
        for pose in poses.rows(row)[:1]:
            keypoints = poses.keypoints[pose]
            points = keypoints[keypoints[:, 2] > MIN_KEYPOINT_SCORE, :2]
            if len(points) >= MIN_KEYPOINTS:
                boxes[number] = np.concatenate([points.min(0), np.ptp(points, axis=0)])
    return FilmBoxes(boxes.get, int(poses.numbers[-1]), (film.facts.height, film.facts.width))


def _of_file(path: pathlib.Path) -> dict[str, FilmBoxes]:
    try:
        names = list(dict(json.loads(path.read_bytes())))
    except OSError as error:
        raise UserError(f"boxes: {path} cannot be read ({error.strerror}); check the path") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"boxes: {path} is not a JSON object ({error}); give boxes by video name") from error
    tracks = read_tracks(path, dict.fromkeys(names, path))
    return {name: FilmBoxes(track.at, track.last) for name, track in tracks.items()}
