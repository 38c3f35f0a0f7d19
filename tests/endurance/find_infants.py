"""Measures how often the search finds the infant in a frame, and finds one where there is none. Run it by hand:

PYTHONPATH=. python tests/endurance/find_infants.py --split test --count 200 [--checkpoint RUN] [--empty FOLDER]

The frames are rendered infants of a split, in styles that training never shows, and frames of that split without an
infant; --empty adds the images of a folder that show no infant either. An infant is found accurately if the median
error of its keypoints is below 0.2 torso lengths. The script prints both rates for several thresholds of the score, and
at the threshold in use the errors by skin tone and by outfit.
"""

import argparse
import itertools
import pathlib

import cv2
import numpy as np

from aggpose_jax.data.images import read_image
from aggpose_jax.data.synthetic.infants import Infant, draw_record, sample_infant
from aggpose_jax.data.synthetic.staging import Variety
from aggpose_jax.data.synthetic.styles import STYLES
from aggpose_jax.inference import tracking
from aggpose_jax.inference.predictor import Predictor, load
from aggpose_jax.inference.tracking import Detection
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import torso_length

SEED = 7
ACCURATE = 0.2  # torso lengths
TONES = ("light", "middle", "dark")  # the thirds of the range of skin tones


def infants(split: str, count: int, empty: bool):
    """Yields `count` infants with their records, all with their torso in the frame, or frames without an infant."""
    taken = 0
    for index in itertools.count():
        infant = sample_infant((SEED, list(STYLES).index(split), index), STYLES[split], Variety(), False)
        if (infant.scene.movement is None) != empty:
            continue
        record = draw_record(infant, 0, 1.0, index + 1)
        if not empty and np.isnan(torso_length(record["keypoints"][None], INFANT_21)[0]):
            continue
        yield infant, record
        taken += 1
        if taken == count:
            return


def search(predictor: Predictor, image: np.ndarray) -> list[Detection]:
    """Returns the best detection in the windows of each group of scales, whatever it scores, turned to its best."""
    found = []
    for group in tracking.SCALES:
        arguments = (predictor.estimate, predictor.keypoint_set, predictor.aspect)
        best = tracking.best_in_windows(image, *arguments, group)
        if (best.keypoints[:, 2] > tracking.MIN_KEYPOINT_SCORE).sum() >= 2:
            best = tracking.best_rotation(image, best, *arguments)
        found.append(best)
        if tracking.score(best) > 0.9:
            break
    return found


def first_above(detections: list[Detection], threshold: float) -> Detection | None:
    """Returns what the search returns at a threshold of the score."""
    return next((found for found in detections if tracking.score(found) >= threshold), None)


def error(found: Detection | None, record: dict) -> float:
    """Returns the median error of the keypoints that the frame shows, in torso lengths; infinite without a pose."""
    if found is None:
        return np.inf
    truth = record["keypoints"]
    shown = (truth[:, 2] > 0) & ~record["absent"]
    distances = np.linalg.norm(found.keypoints[shown, :2] - truth[shown, :2], axis=-1)
    return float(np.median(distances) / torso_length(truth[None], INFANT_21)[0])


def outfit(infant: Infant) -> str:
    """Returns the names of the garments of an infant."""
    return ", ".join(garment.name for garment in infant.scene.garments) or "nothing"


def by_group(errors: np.ndarray, groups: list[str], title: str) -> None:
    """Prints for each group its infants, the mean of their errors (1 if not found or larger) and the accurate rate."""
    for group in sorted(set(groups)):
        chosen = errors[[name == group for name in groups]]
        print(f"{title} {group:28} {len(chosen):4}  error {np.minimum(chosen, 1).mean():.3f}"
              f"  accurate {np.mean(chosen < ACCURATE):.1%}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="pretrained")
    parser.add_argument("--split", default="val", choices=list(STYLES))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--empty", type=pathlib.Path, help="folder of images without an infant")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for the frames that are wrong")
    parser.add_argument("--save", type=pathlib.Path, help="file .npz for the keypoints of all detections")
    arguments = parser.parse_args()
    predictor = load(arguments.checkpoint)

    shown = list(infants(arguments.split, arguments.count, empty=False))
    empty = [record["image"] for _, record in infants(arguments.split, arguments.count, empty=True)]
    real = [read_image(path) for path in sorted(arguments.empty.iterdir())] if arguments.empty else []
    found = [search(predictor, record["image"]) for _, record in shown]
    absent = [search(predictor, image) for image in empty]
    absent_real = [search(predictor, image) for image in real]

    print("threshold   found   accurate   false finds (rendered)   false finds (real)")
    for threshold in sorted({*np.arange(0.1, 0.61, 0.05).round(2), tracking.MIN_INFANT_SCORE}):
        at = [first_above(detections, threshold) for detections in found]
        errors = np.array([error(one, record) for one, (_, record) in zip(at, shown, strict=True)])
        false = [[first_above(one, threshold) is not None for one in group] for group in (absent, absent_real)]
        rates = [f"{np.mean(group):.1%} of {len(group)}" if group else "-" for group in false]
        print(f"{threshold:9.2f}  {np.isfinite(errors).mean():6.1%}   {np.mean(errors < ACCURATE):8.1%}"
              f"   {rates[0]:>22}   {rates[1]:>18}")  # fmt: skip
    at = [first_above(detections, tracking.MIN_INFANT_SCORE) for detections in found]
    errors = np.array([error(one, record) for one, (_, record) in zip(at, shown, strict=True)])
    print(f"\nthreshold {tracking.MIN_INFANT_SCORE}: median of the errors {np.median(errors):.3f} torso lengths")
    by_group(errors, [TONES[int(3 * infant.scene.complexion.melanin)] for infant, _ in shown], "skin")
    by_group(errors, [outfit(infant) for infant, _ in shown], "outfit")
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
        for i in np.flatnonzero(errors >= ACCURATE):
            save(arguments.pictures / f"missed_{i:03}.png", shown[i][1]["image"], at[i])
        for name, images, group in (("rendered", empty, absent), ("real", real, absent_real)):
            for i, (image, detections) in enumerate(zip(images, group, strict=True)):
                one = first_above(detections, tracking.MIN_INFANT_SCORE)
                if one is not None:
                    save(arguments.pictures / f"false_{name}_{i:03}.png", image, one)
    if arguments.save:
        groups = {"infants": found, "empty": absent, "real": absent_real}
        last = len(tracking.SCALES)
        padded = {name: [[d.keypoints for d in one] + [np.zeros((21, 3))] * (last - len(one)) for one in group]
                  for name, group in groups.items()}  # fmt: skip
        np.savez(arguments.save, **{name: np.array(group) for name, group in padded.items()},
                 truth=np.array([record["keypoints"] for _, record in shown]),
                 absent=np.array([record["absent"] for _, record in shown]))  # fmt: skip


def save(path: pathlib.Path, image: np.ndarray, found: Detection | None) -> None:
    """Writes an image with the keypoints of a detection."""
    image = np.ascontiguousarray(image[..., ::-1])
    if found is not None:
        for x, y, value in found.keypoints:
            cv2.circle(image, (round(float(x)), round(float(y))), 2, (0, int(255 * min(value, 1)), 255), -1)
    cv2.imwrite(str(path), image)


if __name__ == "__main__":
    main()
