"""Reads videos whose bytes are mutated at random, each in a process of its own with a time limit. Run it by hand:

PYTHONPATH=. python tests/endurance/mutated_videos.py [CASES]

A video must give frames of one size with rising times, or end with one UserError that names it. The script prints the
number of each outcome and every other outcome with the seed of its case.
"""

import collections
import itertools
import pathlib
import subprocess
import sys
import tempfile

import av
import numpy as np

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError

KINDS = (("mp4", "libx264", {}), ("mp4", "libx264", {"movflags": "faststart"}), ("mkv", "libx264", {}),
         ("avi", "mpeg4", {}), ("webm", "libvpx", {}), ("ts", "mpeg2video", {}))  # fmt: skip
SECONDS = 30


def write(path: pathlib.Path, codec: str, options: dict) -> None:
    """Writes a video of 40 frames of moving noise."""
    base = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.roll(base, number, 1))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Returns content with one to three random changes: bytes replaced, set to zero, removed, repeated or cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(len(data)))
        end = min(len(data), start + int(np.exp(rng.uniform(0, np.log(len(data))))))
        change = rng.integers(5)
        if change == 0:
            data[start:end] = rng.bytes(end - start)
        elif change == 1:
            data[start:end] = bytes(end - start)
        elif change == 2:
            del data[start:end]
        elif change == 3:
            data[start:start] = data[start:end]
        elif start > 64:
            del data[start:]
        if len(data) < 2:
            break
    return bytes(data)


def read(path: pathlib.Path) -> None:
    """Reads a video and prints what became of it."""
    decoding = videos.Decoding()
    try:
        frames = [(frame.seconds, frame.image.shape) for frame in videos.read_frames(path, decoding=decoding)]
    except UserError as error:
        print("refused" if str(path) in str(error) and "\n" not in str(error) else f"message: {error}")
        return
    rising = all(a < b for (a, _), (b, _) in itertools.pairwise(frames))
    one_size = len({shape for _, shape in frames}) == 1
    print(("damaged" if decoding.fault() else "read") if rising and one_size else f"times or sizes: {frames}")


def main(cases: int) -> None:
    """Makes and reads the mutated videos."""
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        for case in range(cases):
            suffix, codec, options = KINDS[case % len(KINDS)]
            path = pathlib.Path(name) / f"film_{case}.{suffix}"
            write(path, codec, options)
            path.write_bytes(mutate(path.read_bytes(), np.random.default_rng(case)))
            command = [sys.executable, __file__, "--read", str(path)]
            try:
                ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
                outcome = ended.stdout.strip() if ended.returncode == 0 else f"exit {ended.returncode}: {ended.stderr}"
            except subprocess.TimeoutExpired:
                outcome = "took too long"
            outcomes[outcome[:20]] += 1
            if outcome not in ("read", "damaged", "refused"):
                print(f"case {case} ({suffix}): {outcome}", flush=True)
            path.unlink()
    print(", ".join(f"{outcome}: {count}" for outcome, count in sorted(outcomes.items())))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(pathlib.Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
