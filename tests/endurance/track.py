"""Measures the accuracy and the speed of tracking on synthetic infants of the test split. Run it by hand:

PYTHONPATH=. python tests/endurance/track.py RUN [FRAMES]

RUN is a run of configs/synthetic.py. The script prints, for videos of FRAMES frames, the error, the percentage of
frames with a pose, the speed and the time of each part; the error for infants of several sizes and rolls; what happens
after blank frames and after a cut; and the error over the course of a long video.
"""

import dataclasses
import pathlib
import sys
import tempfile
import time

import av
import cv2
import numpy as np

from aggpose_jax.data import videos
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.data.synthetic.scene import Occluder
from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.inference import frame_poses
from aggpose_jax.inference.media import draw_frame
from aggpose_jax.inference.predictor import load
from aggpose_jax.inference.results import OutputOptions, write_video_results
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import torso_length

FILLS, ROLLS = (0.15, 0.4, 0.9), (0, 45, 90, 180, 270)  # fractions of the frame's height or width; degrees
FPS = 30


class Placed(SyntheticMovement):
    """Videos in which the infant lies in the middle at a given roll and size, without an occluder.

    Args:
      videos: number of videos.
      frames: number of frames of each video.
      roll: roll of the camera in degrees.
      fill: fraction of the frame's height or width, whichever is reached first, that the keypoints of all frames span.
    """

    def __init__(self, videos: int, frames: int, roll: float, fill: float):
        super().__init__(videos, frames, split="test", seed=1)
        self._roll, self._fill = roll, fill

    def _scene(self, video: int):
        scene = super()._scene(video)
        camera = dataclasses.replace(scene.camera, roll=np.deg2rad(self._roll))
        scene = dataclasses.replace(scene, camera=camera, occluder=Occluder("none", np.zeros((0, 6)), np.zeros(3)))
        sampled = range(0, self.frames, 5)
        points = np.concatenate([_points(scene, frame / FPS) for frame in sampled])
        low, high = points.min(0), points.max(0)
        factor = self._fill * min((240, 320) / (high - low)[::-1])
        centred = lambda p: np.array([160, 120]) + factor * (p - (low + high) / 2)  # noqa: E731
        camera = dataclasses.replace(camera, scale=factor * camera.scale, centre=centred(camera.centre))
        return dataclasses.replace(scene, camera=camera)


def _points(scene, time: float) -> np.ndarray:
    """Returns the keypoints [21, 2] at a time in seconds, in image pixels, including those outside of the frame."""
    from aggpose_jax.data.synthetic import body

    return scene.camera.project(body.keypoints(body.joints(scene.body, time)))[0][:, :2]


def render_video(roll: float, fill: float, frames: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the images [H, W, 3] and the keypoints [21, 3] of the frames of a video of one infant.

    An infant that fills less than half of the frame is rendered at one half, and the frame is pasted at a random place
    into a larger image.

    Args:
      roll: roll of the camera in degrees.
      fill: fraction of the image's height or width that the infant fills.
      frames: number of frames.
    """
    rendered_fill = max(fill, 0.5)
    source = Placed(1, frames, roll, rendered_fill)
    records = [source[i] for i in range(frames)]
    if rendered_fill == fill:
        return [(r["image"], r["keypoints"]) for r in records]
    factor = rendered_fill / fill
    rng = np.random.default_rng(int(1000 * fill + roll))
    corner = (rng.uniform(0.1, 0.9, 2) * (np.array([320, 240]) * (factor - 1))).astype(int)
    background = cv2.resize(records[0]["image"][:8, :8], (round(320 * factor), round(240 * factor)))
    result = []
    for record in records:
        image = background.copy()
        image[corner[1] : corner[1] + 240, corner[0] : corner[0] + 320] = record["image"]
        keypoints = record["keypoints"] + np.array([*corner, 0]) * (record["keypoints"][:, 2:] > 0)
        result.append((image, keypoints))
    return result


def errors(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the distances of the labelled keypoints from the truth, in median torso lengths; both are [N, K, 3]."""
    distance = np.linalg.norm(poses[..., :2] - truth[..., :2], axis=-1)
    torso = np.nanmedian(torso_length(truth, INFANT_21))
    return distance[truth[..., 2] > 0] / torso


def report(name: str, tracked: list[frame_poses.FramePoses], truth: np.ndarray) -> None:
    """Prints one line with the percentage of frames that have a pose and the error of the poses.

    Args:
      name: title of the line.
      tracked: frames with their poses.
      truth: true keypoints [T, K, 3] of these frames.
    """
    found = [i for i, frame in enumerate(tracked) if len(frame.poses)]
    line = f"{name:<44} a pose in {len(found) / len(tracked):6.1%} of the frames"
    if found:
        error = errors(np.stack([tracked[i].poses[0] for i in found]), truth[found])
        line += (
            f", error in torso lengths: median {np.median(error):.3f}, 95th percentile {np.percentile(error, 95):.3f}"
        )
    print(line, flush=True)


def timed(name: str, items):
    """Returns the items as a list and prints how long it took to compute them."""
    start = time.perf_counter()
    results = list(items)
    seconds = time.perf_counter() - start
    print(f"  {name:<42} {1000 * seconds / max(len(results), 1):6.1f} ms per frame", flush=True)
    return results


def write_mp4v(frames, path: pathlib.Path) -> None:
    """Writes a video with the mp4v codec (MPEG-4 Part 2), which OpenCV writes by default."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS, options={"qscale": "3"})
        stream.codec_context.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def measure_videos(predictor, folder: pathlib.Path, frames: int) -> None:
    """Measures the error on three videos in two codecs, and the speed of each part on the last of them."""
    source = SyntheticMovement(3, frames, split="test", seed=11)
    for video in range(3):
        records = [source[video * frames + i] for i in range(frames)]
        truth = np.stack([r["keypoints"] for r in records])
        videos.write_frames(((i / FPS, r["image"]) for i, r in enumerate(records)), folder / "h264.mp4")
        write_mp4v((r["image"] for r in records), folder / "mp4v.mp4")
        for name in ("h264", "mp4v"):
            read = list(videos.read_frames(folder / f"{name}.mp4"))
            report(f"video {video}, {name}", list(frame_poses.track_video(predictor, read)), truth)
    read = timed("decoding", videos.read_frames(folder / "h264.mp4"))
    tracked = timed("crops, network, flip test, decoding", frame_poses.track_video(predictor, read))
    boxes = [geometry.crop_region(np.array([60, 20, 200, 200]), 0.75) for _ in read]
    timed("of which crops", (_crop(predictor, frame, box) for frame, box in zip(read, boxes, strict=True)))
    drawn = timed("drawing", ((f.frame.seconds, draw_frame(f, INFANT_21, False)) for f in tracked))
    start = time.perf_counter()
    videos.write_frames(drawn, folder / "overlay.mp4")
    print(f"  {'encoding':<42} {1000 * (time.perf_counter() - start) / len(drawn):6.1f} ms per frame")
    for name, overlay in (("from file to results", True), ("from file to results, without overlay", False)):
        start = time.perf_counter()
        write_video_results(
            frame_poses.track_video(predictor, videos.read_frames(folder / "h264.mp4")), folder, "film", INFANT_21,
            OutputOptions(overlay=overlay),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        print(f"  {name:<42} {1000 * seconds / len(read):6.1f} ms per frame, {len(read) / seconds:.1f} frames/s")
    start = time.perf_counter()
    for _ in frame_poses.estimate_in_boxes(predictor, read, lambda frame: np.array([[60, 20, 200, 200]])):
        pass
    print(f"  {'given boxes, batches of 16':<42} {1000 * (time.perf_counter() - start) / len(read):6.1f} ms per frame")


def _crop(predictor, frame, region):
    """Returns the crop of a region (centre, size) of a frame, for a network with input 128×96."""
    from aggpose_jax.data.transforms import warp
    from aggpose_jax.data.views import View, view_transform

    return warp(frame.image, view_transform(View(*region), 320, (128, 96), "unbiased"), (128, 96))


def measure_fills_and_rolls(predictor, frames: int) -> None:
    """Measures the error by the size and the roll of the infant."""
    for fill in FILLS:
        for roll in ROLLS:
            video = render_video(roll, fill, frames)
            read = [VideoFrame(i, i / FPS, image) for i, (image, _) in enumerate(video)]
            truth = np.stack([keypoints for _, keypoints in video])
            start = time.perf_counter()
            tracked = list(frame_poses.track_video(predictor, read))
            seconds = time.perf_counter() - start
            report(f"fill {fill:.0%}, roll {roll}° ({seconds:.1f} s)", tracked, truth)


def measure_interruptions(predictor) -> None:
    """Measures tracking across 30 blank frames and across a cut to another infant that lies upside down."""
    first, second = render_video(0, 0.6, 60), render_video(180, 0.8, 60)
    blank = np.zeros((240, 320, 3), np.uint8)
    images = [i for i, _ in first[:30]] + 30 * [blank] + [i for i, _ in first[30:]] + [i for i, _ in second]
    tracked = list(frame_poses.track_video(predictor, [VideoFrame(n, n / FPS, i) for n, i in enumerate(images)]))
    found = np.array([len(frame.poses) for frame in tracked])
    print(f"blank frames: {found[30:60].sum()} of 30 have a pose; found again after {np.argmax(found[60:])} frames")
    report("before and after the blank frames", tracked[:30] + tracked[60:90], np.stack([k for _, k in first]))
    report("after a cut to an infant upside down", tracked[90:], np.stack([k for _, k in second]))


def measure_drift(predictor, frames: int) -> None:
    """Measures the error on each quarter of a long video, which shows whether tracking drifts."""
    source = SyntheticMovement(1, frames, split="test", seed=12)
    records = ((i, source[i]) for i in range(frames))
    truth = []

    def read():
        for i, record in records:
            truth.append(record["keypoints"])
            yield VideoFrame(i, i / FPS, record["image"])

    tracked = list(frame_poses.track_video(predictor, read()))
    part = frames // 4
    for start in range(0, frames, part):
        report(
            f"frames {start} to {start + part}", tracked[start : start + part], np.stack(truth[start : start + part])
        )


def main() -> None:
    """Runs all measurements on the run that the command line names."""
    predictor = load(sys.argv[1])
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    blank = np.zeros((240, 320, 3), np.uint8)
    predictor.predict(blank)  # These two calls compile the programs, so that compiling is not measured.
    predictor.predict(blank, [[0, 0, 99, 99]])
    with tempfile.TemporaryDirectory() as folder:
        measure_videos(predictor, pathlib.Path(folder), frames)
    measure_fills_and_rolls(predictor, max(frames // 10, 2))
    measure_interruptions(predictor)
    measure_drift(predictor, 2000 * frames // 300)


if __name__ == "__main__":
    main()
