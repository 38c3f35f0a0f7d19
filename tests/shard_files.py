"""Shards of frames whose numbers and brightness are known, for tests."""

import json

import cv2
import numpy as np

from aggpose_jax.data import shards

LENGTHS = {"baby_a": 7, "baby_b": 1, "nothing": 0, "ward/baby_c": 12}


def jpeg(value: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", np.full((8, 8, 3), value, np.uint8))
    return encoded.tobytes()


def write_shards(directory, lengths=LENGTHS) -> None:
    """Writes shards whose frames have the numbers 0, 10, 20, … and the same numbers as brightness."""
    entries = []
    for video, count in lengths.items():
        path = directory / shards.FOLDER / f"{video}{shards.SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = [shards.StoredFrame(video, 10 * n, n / 3, jpeg(10 * n)) for n in range(count)]
        assert shards.write_records(content, path) == count
        entries.append(
            shards.Shard(video, str(path.relative_to(directory)), count, path.stat().st_size, "0" * 64)._asdict()
        )
    (directory / shards.MANIFEST).write_text(json.dumps({"shards": entries, "skipped": {"broken": "is damaged"}}))
