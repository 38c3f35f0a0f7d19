"""Compares the errors that a calibration expects with those on labelled images of real infants.

PYTHONPATH=. python tests/endurance/expected_errors.py KEYPOINTS_CSV LABELS [CALIBRATION]

KEYPOINTS_CSV is what `predict` wrote for the images. LABELS is a folder of LabelMe files with points such as Wrist_L,
of the shoulders, elbows, wrists, hips, knees, ankles and eyes. Hips are left out, since people label them elsewhere.
The calibration is that of the package unless one is given. Nothing may be chosen by these numbers.
"""

import csv
import json
import pathlib
import sys

import numpy as np

from aggpose_jax.timeseries import calibration as calibrations

SIDES = ("left", "right")
PARTS = ("shoulder", "elbow", "wrist", "knee", "ankle", "eye")
CLOSE = calibrations.CLOSE


def labels_of(file: pathlib.Path) -> tuple[dict[str, np.ndarray], float]:
    """Returns the labelled points of an image by the names of our keypoints, and the torso length in pixels."""
    points = {shape["label"]: np.array(shape["points"][0]) for shape in json.loads(file.read_text())["shapes"]}
    trunk = points["Shoulder_L"] + points["Shoulder_R"] - points["Hip_L"] - points["Hip_R"]
    named = {f"{side}_{part}": points[f"{part.capitalize()}_{side[0].upper()}"] for part in PARTS for side in SIDES}
    return named, float(np.linalg.norm(trunk / 2))


def main(table: str, folder: str, file: str = str(calibrations.SHIPPED)) -> None:
    """Prints expected and actual error of each image, keypoint and half of the points by expected error."""
    calibration = calibrations.read(pathlib.Path(file))
    with open(table, newline="") as rows:
        found = {(pathlib.Path(row["image"]).stem, row["keypoint"]): row for row in csv.DictReader(rows) if row["x"]}
    points = []
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        labels, torso = labels_of(path)
        for name, label in labels.items():
            if row := found.get((path.stem, name)):
                error = np.linalg.norm([float(row["x"]), float(row["y"])] - label) / torso
                scores = np.where(np.array(calibration.keypoints) == name, float(row["score"]), np.nan)
                values = (
                    calibration.expected_error(scores),
                    calibration.bound(scores),
                    calibration.probability(scores),
                )
                points.append((path.stem, name, error, *(np.nanmax(value) for value in values)))
            else:
                print(f"{path.stem}: {name} was not found")
    report("all", points)
    for image in sorted({point[0] for point in points}):
        report(image, [point for point in points if point[0] == image])
    for part in PARTS:
        report(part, [point for point in points if point[1].endswith(part)])
    points.sort(key=lambda point: point[3])
    report("lower half of the expected errors", points[: len(points) // 2])
    report("upper half of the expected errors", points[len(points) // 2 :])


def report(name: str, points: list[tuple]) -> None:
    """Prints the means of the expected and actual errors in torso lengths, and how often bound and limit hold."""
    error, expected, bound, probability = np.array([point[2:] for point in points]).T
    print(
        f"{name}: {len(points)} points, expected error {expected.mean():.3f}, actual {error.mean():.3f} (median "
        f"{np.median(error):.3f}); below the 90 % bound {np.mean(error <= bound):.2f}; P(error < {CLOSE}) expected "
        f"{probability.mean():.2f}, actual {np.mean(error < CLOSE):.2f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
