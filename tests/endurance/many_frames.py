"""How long a worker takes to open millions of frames, and how much memory they cost it. Run by hand:

PYTHONPATH=. python tests/endurance/many_frames.py FOLDER        needs half a GB and a minute or two

2.1 million small records are written as shards of 3,000. A third folder has 15 million: the same shards by further
names (hard links), which cost a reader as much as others. Each folder is opened by a new process, which draws frames at
random and says its memory, shared libraries included.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from aggpose_jax.data import frames, shards

RECORDS, SHARDS = 3000, 700
FOLDERS = {"half": SHARDS // 2, "whole": SHARDS, "linked": 5000}  # shards in each
DRAWS, STRIDE = 20_000, 4


def write(folder: pathlib.Path) -> None:
    """Writes the shards and the three folders."""
    stored = folder / "stored"
    stored.mkdir(parents=True)
    picture = bytes(100)
    for number in range(SHARDS):
        content = (shards.StoredFrame(f"{number:05}", frame, frame / 4, picture) for frame in range(RECORDS))
        shards.write_records(content, stored / f"{number:05}{shards.SUFFIX}")
    for name, count in FOLDERS.items():
        (folder / name / shards.FOLDER).mkdir(parents=True)
        found = []
        for number in range(count):
            file = stored / f"{number % SHARDS:05}{shards.SUFFIX}"
            link = folder / name / shards.FOLDER / f"{number:05}{shards.SUFFIX}"
            os.link(file, link)
            entry = (f"{number:05}", f"{shards.FOLDER}/{link.name}", RECORDS, file.stat().st_size, "0" * 64)
            found.append(shards.Shard(*entry)._asdict())
        (folder / name / shards.MANIFEST).write_text(json.dumps({"shards": found, "skipped": {}}))


def resident() -> float:
    """Memory of this process in MB."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(folder: pathlib.Path) -> dict[str, float]:
    """Opens a folder and draws frames."""
    empty, begun = resident(), time.perf_counter()
    source = frames.open_source(folder, stride=STRIDE)
    opened, seconds = resident(), time.perf_counter() - begun
    rng, begun = np.random.default_rng(0), time.perf_counter()
    for index in rng.integers(len(source), size=DRAWS):
        source.draw(source[int(index)], rng)
    each = (time.perf_counter() - begun) / DRAWS
    counted = source.counts()["frames"]
    return {"frames": counted, "empty": empty, "opened": opened, "drawn": resident(), "seconds": seconds, "each": each}


def main(folder: pathlib.Path) -> None:
    """Measures each folder in a process of its own and says what it found."""
    if not (folder / "stored").exists():
        begun = time.perf_counter()
        write(folder)
        print(f"written in {time.perf_counter() - begun:.0f} s")
    found = {}
    for name in FOLDERS:
        command = [sys.executable, __file__, str(folder), name]
        found[name] = f = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        print(
            f"{f['frames']:>12,} frames: opened in {f['seconds']:.3f} s; {f['empty']:.0f} MB before, {f['opened']:.0f} "
            f"opened, {f['drawn']:.0f} after {DRAWS:,} frames drawn at {f['each'] * 1e3:.2f} ms each"
        )
    slope = (found["whole"]["drawn"] - found["half"]["drawn"]) / (found["whole"]["frames"] - found["half"]["frames"])
    added = found["whole"]["drawn"] - found["whole"]["empty"] + slope * (15e6 - found["whole"]["frames"])
    print(f"extrapolated to 15 million: {added:.0f} MB a worker above its imports")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(pathlib.Path(sys.argv[1]) / sys.argv[2])))
    else:
        main(pathlib.Path(sys.argv[1]))
