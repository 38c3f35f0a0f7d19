"""Measures the time and the memory that a data worker needs to open millions of frames. Run it by hand:

PYTHONPATH=. python tests/endurance/many_frames.py FOLDER        needs half a GB of disk and a minute or two

The script writes 2.1 million small records in shards of 3,000, and three folders that hold half of the shards, all of
them, and 15 million records. The third folder consists of hard links to the same shards, which cost a reader as much as
separate files. Each folder is opened by a new process, which draws frames at random and reports its resident memory,
including shared libraries.
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
FOLDERS = {"half": SHARDS // 2, "full": SHARDS, "linked": 5000}  # number of shards in each folder
DRAWS, STRIDE = 20_000, 4


def write(folder: pathlib.Path) -> None:
    """Writes the shards and the three folders."""
    stored = folder / "stored"
    stored.mkdir(parents=True)
    image = bytes(100)
    for number in range(SHARDS):
        content = (shards.StoredFrame(f"{number:05}", frame, frame / 4, image) for frame in range(RECORDS))
        shards.write_records(content, stored / f"{number:05}{shards.SUFFIX}")
    for name, count in FOLDERS.items():
        (folder / name / shards.FOLDER).mkdir(parents=True)
        entries = []
        for number in range(count):
            file = stored / f"{number % SHARDS:05}{shards.SUFFIX}"
            link = folder / name / shards.FOLDER / f"{number:05}{shards.SUFFIX}"
            os.link(file, link)
            entry = (f"{number:05}", f"{shards.FOLDER}/{link.name}", RECORDS, file.stat().st_size, "0" * 64)
            entries.append(shards.Shard(*entry)._asdict())
        (folder / name / shards.MANIFEST).write_text(json.dumps({"shards": entries, "skipped": {}}))


def resident() -> float:
    """Returns the resident memory of this process in MB."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(folder: pathlib.Path) -> dict[str, float]:
    """Opens a folder and draws DRAWS frames.

    Returns:
      The number of "frames"; the memory in MB before the folder is opened ("empty"), after that ("opened") and after
      all frames are drawn ("drawn"); the "seconds" that opening took, and the seconds for "each" drawn frame.
    """
    empty, start = resident(), time.perf_counter()
    source = frames.open_source(folder, stride=STRIDE)
    opened, seconds = resident(), time.perf_counter() - start
    rng, start = np.random.default_rng(0), time.perf_counter()
    for index in rng.integers(len(source), size=DRAWS):
        source.draw(source[int(index)], rng)
    each = (time.perf_counter() - start) / DRAWS
    count = source.counts()["frames"]
    return {"frames": count, "empty": empty, "opened": opened, "drawn": resident(), "seconds": seconds, "each": each}


def main(folder: pathlib.Path) -> None:
    """Measures each folder in a process of its own and prints the results."""
    if not (folder / "stored").exists():
        start = time.perf_counter()
        write(folder)
        print(f"written in {time.perf_counter() - start:.0f} s")
    results = {}
    for name in FOLDERS:
        command = [sys.executable, __file__, str(folder), name]
        results[name] = r = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        print(
            f"{r['frames']:>12,} frames: opened in {r['seconds']:.3f} s; memory {r['empty']:.0f} MB before opening, "
            f"{r['opened']:.0f} MB after it, {r['drawn']:.0f} MB after drawing {DRAWS:,} frames in "
            f"{r['each'] * 1e3:.2f} ms each"
        )
    slope = (results["full"]["drawn"] - results["half"]["drawn"]) / (
        results["full"]["frames"] - results["half"]["frames"]
    )
    added = results["full"]["drawn"] - results["full"]["empty"] + slope * (15e6 - results["full"]["frames"])
    print(f"extrapolated to 15 million frames: {added:.0f} MB per worker in addition to its imports")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(pathlib.Path(sys.argv[1]) / sys.argv[2])))
    else:
        main(pathlib.Path(sys.argv[1]))
