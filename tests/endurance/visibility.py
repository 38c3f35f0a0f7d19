"""Measures the errors of keypoints that can be seen, that the infant itself hides, and that nothing shows.

PYTHONPATH=. python tests/endurance/visibility.py INFANTS [RUN]

INFANTS is a folder of one split that `prepare infants` drew. The network of the package, or that of a run, gets every
infant in its annotated box, turned upright, without the flip test. Errors are in torso lengths.
"""

import pathlib
import sys

import numpy as np

from aggpose_jax.data.images import read_image
from aggpose_jax.data.synthetic.drawn_ahead import StoredInfants
from aggpose_jax.data.views import person_view
from aggpose_jax.estimation import pretrained
from aggpose_jax.inference.predictor import load
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import torso_length


def main(folder: str, run: str = pretrained.NAME) -> None:
    """Prints a row for each of the three kinds of keypoints."""
    predictor = load(run, overrides=["flip_test=False"])
    errors, scores, visible, absent = [], [], [], []
    source = StoredInfants(pathlib.Path(folder))
    for record in map(source.__getitem__, range(len(source))):
        torso = torso_length(record["keypoints"][None], INFANT_21)[0]
        if not np.isfinite(torso):
            continue
        view = person_view(record, INFANT_21, predictor.aspect, upright=True)
        (pose,) = predictor.estimate([(read_image(record["image"]), view)])
        errors.append(np.linalg.norm(pose[:, :2] - record["keypoints"][:, :2], axis=1) / torso)
        scores.append(pose[:, 2])
        visible.append(record["keypoints"][:, 2] == 2)
        absent.append(record["absent"])
    errors, scores, visible, absent = map(np.stack, (errors, scores, visible, absent))
    print(f"| {len(errors)} infants | median error | PCK@0.2 | PCK@0.1 | median score |\n|---|---|---|---|---|")
    kinds = {"can be seen": visible & ~absent, "hidden by the infant": ~visible & ~absent}
    for name, kind in kinds.items():
        chosen = errors[kind]
        print(f"| {name} | {np.median(chosen):.3f} | {(chosen < 0.2).mean():.3f} | {(chosen < 0.1).mean():.3f} "
              f"| {np.median(scores[kind]):.2f} |")  # fmt: skip
    print(f"| hidden by things, or outside | | | | {np.median(scores[absent]):.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
