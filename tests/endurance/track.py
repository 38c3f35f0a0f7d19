"""How well and how fast an unseen infant is followed: PYTHONPATH=. python tests/endurance/track.py RUN [FRAMES].

Run by hand, on a run of configs/synthetic.py: error, share of frames with a pose and speed on a film, with the time of
each part; the error by how much of the frame's height the infant fills and how it lies; blank frames, a cut, drift.
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

FILLS, ROLLS = (0.15, 0.4, 0.9), (0, 45, 90, 180, 270)
FPS = 30


class Placed(SyntheticMovement):
    """Films in which every infant lies in the middle at a given roll and fills a share of the frame's height or width.

    It begins where infants of the films of the first section end.
    """

    def __init__(self, videos: int, frames: int, roll: float, fill: float):
        super().__init__(videos, frames, split="test", seed=1)
        self._roll, self._fill = roll, fill

    def _scene(self, film: int):
        scene = super()._scene(film)
        camera = dataclasses.replace(scene.camera, roll=np.deg2rad(self._roll))
        scene = dataclasses.replace(scene, camera=camera, occluder=Occluder("none", np.zeros((0, 6)), np.zeros(3)))
        every = range(0, self._frames, 5)
        points = np.concatenate([_points(scene, frame / FPS) for frame in every])
        low, high = points.min(0), points.max(0)
        factor = self._fill * min((240, 320) / (high - low)[::-1])
        place = lambda p: np.array([160, 120]) + factor * (p - (low + high) / 2)  # noqa: E731
        camera = dataclasses.replace(camera, scale=factor * camera.scale, centre=place(camera.centre))
        return dataclasses.replace(scene, camera=camera)


def _points(scene, time: float) -> np.ndarray:
    """[21, 2] keypoints, also outside of the frame."""
    from aggpose_jax.data.synthetic import body

    return scene.camera.project(body.keypoints(body.joints(scene.body, time)))[0][:, :2]


def film(roll: float, fill: float, frames: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures and keypoints. An infant below half of the height lies at half of a mat in a larger picture."""
    drawn = max(fill, 0.5)
    source = Placed(1, frames, roll, drawn)
    records = [source[i] for i in range(frames)]
    if drawn == fill:
        return [(r["image"], r["keypoints"]) for r in records]
    factor = drawn / fill
    rng = np.random.default_rng(int(1000 * fill + roll))
    corner = (rng.uniform(0.1, 0.9, 2) * (np.array([320, 240]) * (factor - 1))).astype(int)
    floor = cv2.resize(records[0]["image"][:8, :8], (round(320 * factor), round(240 * factor)))
    result = []
    for record in records:
        picture = floor.copy()
        picture[corner[1] : corner[1] + 240, corner[0] : corner[0] + 320] = record["image"]
        keypoints = record["keypoints"] + np.array([*corner, 0]) * (record["keypoints"][:, 2:] > 0)
        result.append((picture, keypoints))
    return result


def errors(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances in torso lengths of the labelled points, [N, K, 3] each."""
    distance = np.linalg.norm(poses[..., :2] - truth[..., :2], axis=-1)
    torso = np.nanmedian(torso_length(truth, INFANT_21))
    return distance[truth[..., 2] > 0] / torso


def report(name: str, seen: list[frame_poses.FramePoses], truth: np.ndarray) -> None:
    """One line on shots."""
    found = [i for i, shot in enumerate(seen) if len(shot.poses)]
    line = f"{name:<44} a pose in {len(found) / len(seen):6.1%}"
    if found:
        error = errors(np.stack([seen[i].poses[0] for i in found]), truth[found])
        line += f", error in torso lengths: median {np.median(error):.3f}, 95 % {np.percentile(error, 95):.3f}"
    print(line, flush=True)


def timed(name: str, items):
    """A list of the items, and a line on how long they took."""
    start = time.perf_counter()
    made = list(items)
    seconds = time.perf_counter() - start
    print(f"  {name:<42} {1000 * seconds / max(len(made), 1):6.1f} ms a frame", flush=True)
    return made


def write_mp4v(frames, path: pathlib.Path) -> None:
    """The codec that OpenCV writes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS, options={"qscale": "3"})
        stream.codec_context.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def one_film(predictor, folder: pathlib.Path, frames: int) -> None:
    """Error and speed on an unseen film."""
    source = SyntheticMovement(3, frames, split="test", seed=11)
    for video in range(3):
        records = [source[video * frames + i] for i in range(frames)]
        truth = np.stack([r["keypoints"] for r in records])
        videos.write_frames(((i / FPS, r["image"]) for i, r in enumerate(records)), folder / "h264.mp4")
        write_mp4v((r["image"] for r in records), folder / "mp4v.mp4")
        for name in ("h264", "mp4v"):
            read = list(videos.read_frames(folder / f"{name}.mp4"))
            report(f"film {video}, {name}", list(frame_poses.follow(predictor, read)), truth)
    read = timed("decoding", videos.read_frames(folder / "h264.mp4"))
    seen = timed("crops, network, flip test, decoding", frame_poses.follow(predictor, read))
    boxes = [geometry.crop_region(np.array([60, 20, 200, 200]), 0.75) for _ in read]
    timed("of which crops", (_crop(predictor, frame, box) for frame, box in zip(read, boxes, strict=True)))
    drawn = timed("drawing", ((s.frame.seconds, draw_frame(s, INFANT_21, False)) for s in seen))
    start = time.perf_counter()
    videos.write_frames(drawn, folder / "overlay.mp4")
    print(f"  {'encoding':<42} {1000 * (time.perf_counter() - start) / len(drawn):6.1f} ms a frame")
    for name, overlay in (("all of it", True), ("all of it, without an overlay", False)):
        start = time.perf_counter()
        write_video_results(
            frame_poses.follow(predictor, videos.read_frames(folder / "h264.mp4")), folder, "film", INFANT_21,
            OutputOptions(overlay=overlay),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        print(f"  {name:<42} {1000 * seconds / len(read):6.1f} ms a frame, {len(read) / seconds:.1f} frames/s")
    start = time.perf_counter()
    for _ in frame_poses.look(predictor, read, lambda frame: np.array([[60, 20, 200, 200]])):
        pass
    print(f"  {'given boxes, batches of 16':<42} {1000 * (time.perf_counter() - start) / len(read):6.1f} ms a frame")


def _crop(predictor, frame, region):
    from aggpose_jax.data.transforms import View, view_transform, warp

    return warp(frame.image, view_transform(View(*region), 320, (128, 96), "unbiased"), (128, 96))


def grid(predictor, frames: int) -> None:
    """Error by fill and roll."""
    for fill in FILLS:
        for roll in ROLLS:
            made = film(roll, fill, frames)
            read = [VideoFrame(i, i / FPS, picture) for i, (picture, _) in enumerate(made)]
            truth = np.stack([keypoints for _, keypoints in made])
            start = time.perf_counter()
            seen = list(frame_poses.follow(predictor, read))
            seconds = time.perf_counter() - start
            report(f"fills {fill:.0%}, lies at {roll}° ({seconds:.1f} s)", seen, truth)


def lost(predictor) -> None:
    """Thirty blank frames, then a cut to another infant that lies the other way round."""
    first, second = film(0, 0.6, 60), film(180, 0.8, 60)
    blank = np.zeros((240, 320, 3), np.uint8)
    pictures = [p for p, _ in first[:30]] + 30 * [blank] + [p for p, _ in first[30:]] + [p for p, _ in second]
    seen = list(frame_poses.follow(predictor, [VideoFrame(i, i / FPS, p) for i, p in enumerate(pictures)]))
    found = np.array([len(shot.poses) for shot in seen])
    print(f"blank frames: {found[30:60].sum()} of 30 with a pose; found again after {np.argmax(found[60:])} frames")
    report("before and after", seen[:30] + seen[60:90], np.stack([k for _, k in first]))
    report("after a cut to an infant upside down", seen[90:], np.stack([k for _, k in second]))


def drift(predictor, frames: int) -> None:
    """A long film: is the end as good as the beginning?"""
    source = SyntheticMovement(1, frames, split="test", seed=12)
    records = ((i, source[i]) for i in range(frames))
    truth = []

    def read():
        for i, record in records:
            truth.append(record["keypoints"])
            yield VideoFrame(i, i / FPS, record["image"])

    seen = list(frame_poses.follow(predictor, read()))
    part = frames // 4
    for start in range(0, frames, part):
        report(f"frames {start} to {start + part}", seen[start : start + part], np.stack(truth[start : start + part]))


def main() -> None:
    """Everything, on the run of the command line."""
    predictor = load(sys.argv[1])
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    warm = np.zeros((240, 320, 3), np.uint8)
    predictor.predict(warm)
    predictor.predict(warm, [[0, 0, 99, 99]])
    with tempfile.TemporaryDirectory() as folder:
        one_film(predictor, pathlib.Path(folder), frames)
    grid(predictor, max(frames // 10, 2))
    lost(predictor)
    drift(predictor, 2000 * frames // 300)


if __name__ == "__main__":
    main()
