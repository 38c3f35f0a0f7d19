"""Summarises a trace of jax.profiler: where the time of a device goes, and how much of it is idle."""

import gzip
import json
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aggpose_jax.benchmarks.accelerator.hlo import CONTROL, KINDS, kind_of_name

Event = Mapping[str, Any]  # of Chrome's trace format; times are in microseconds


def read(folder: pathlib.Path) -> list[Event]:
    """Returns the events of the latest trace that jax.profiler.trace wrote into a folder.

    Raises:
      FileNotFoundError: there is none.
    """
    files = sorted(folder.glob("plugins/profile/*/*.trace.json.gz"))
    if not files:
        raise FileNotFoundError(f"{folder}: the profiler wrote no *.trace.json.gz")
    events: list[Event] = json.loads(gzip.decompress(files[-1].read_bytes()))["traceEvents"]
    return events


def summarise(events: Iterable[Event], kinds: Mapping[str, str], steps: int) -> dict[str, Any]:
    """Returns what a device did in some steps.

    Args:
      events: events of the trace.
      kinds: kinds of the operations of the program by name, see `hlo.executed`; operations of other programs are
        judged by their names.
      steps: number of traced steps, by which times and counts are divided.

    Returns:
      "milliseconds" by kind; "launches" of operations; "idle_share" of the time between the first and the last
      operation; all 0 if the trace has no operations of a device.
    """
    operations = []
    for event in device_events(list(events)):
        kind = kinds.get(_operation(event)) or kind_of_name(event["name"])
        if kind != CONTROL:
            operations.append((kind, event["ts"], event["ts"] + event["dur"]))
    times: Counter[str] = Counter()
    for kind, start, end in operations:
        times[kind] += end - start
    return {
        "milliseconds": {kind: times[kind] / 1e3 / steps for kind in KINDS},
        "launches": len(operations) / steps,
        "idle_share": _idle_share([(start, end) for _, start, end in operations]),
    }


def device_events(events: Sequence[Event]) -> list[Event]:
    """Returns the events that are operations of the first device.

    A GPU has a thread for each stream in the trace, a TPU one named "XLA Ops". On CPU, operations run in threads of the
    host and are known by their argument hlo_op.
    """
    names = {(e["pid"], e.get("tid"), e["name"]): e["args"].get("name", "") for e in events if e.get("ph") == "M"}
    complete = [event for event in events if event.get("ph") == "X"]
    devices = sorted(
        (process, pid)
        for (pid, _, what), process in names.items()
        if what == "process_name" and process.startswith(("/device:GPU", "/device:TPU"))
    )
    if not devices:
        return [event for event in complete if "hlo_op" in event.get("args", {})]
    _, pid = devices[0]
    threads = {tid: name for (of, tid, what), name in names.items() if of == pid and what == "thread_name"}
    wanted = {tid for tid, name in threads.items() if name.startswith("Stream")}
    wanted = wanted or {tid for tid, name in threads.items() if name == "XLA Ops"}
    return [event for event in complete if event["pid"] == pid and event["tid"] in wanted]


def _operation(event: Event) -> str:
    return event.get("args", {}).get("hlo_op", event["name"])


def _idle_share(intervals: Sequence[tuple[float, float]]) -> float:
    if not intervals:
        return 0.0
    ordered = sorted(intervals)
    first, busy, reached = ordered[0][0], 0.0, ordered[0][0]
    for start, end in ordered:
        busy += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return 1 - busy / (reached - first) if reached > first else 0.0
