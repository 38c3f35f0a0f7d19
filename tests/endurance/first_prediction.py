"""Measures the parts of the time of a first prediction.

python tests/endurance/first_prediction.py RUN IMAGE [REPETITIONS]

Run it from the root of the working tree whose package is to be measured. Each repetition is a new process with a warm
compilation cache. The output is the median time of each part in seconds. "trace" includes lowering, and "compile" is
the time to read the compiled program from the cache.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

PARTS = ("import", "restore", "trace", "compile", "run", "total")
MEASURE = """
import json, sys, time
start = time.perf_counter()
import jax
spans = {"trace": [], "compile": []}
KINDS = {"jaxpr_trace_duration": "trace", "jaxpr_to_mlir_module_duration": "trace",
         "backend_compile_duration": "compile"}

def record(event, seconds, **_):
    kind = KINDS.get(event.rsplit("/", 1)[-1])
    if kind:
        end = time.perf_counter()
        spans[kind].append((end - seconds, end))

def covered(spans, low, high):  # Seconds between low and high that the spans cover; overlaps count once.
    total, reached = 0.0, low
    for first, last in sorted(spans):
        first, last = max(first, reached), min(last, high)
        if last > first:
            total, reached = total + last - first, last
    return total

jax.monitoring.register_event_duration_secs_listener(record)
import aggpose_jax
import aggpose_jax.inference.predictor
imported = time.perf_counter()
predictor = aggpose_jax.load(sys.argv[1])
loaded = time.perf_counter()
predictor.predict(sys.argv[2])
end = time.perf_counter()
both = [span for kind in spans.values() for span in kind]
print(json.dumps({
    "import": imported - start,
    "restore": loaded - imported - covered(both, imported, loaded),
    "trace": covered(spans["trace"], imported, end),
    "compile": covered(spans["compile"], imported, end),
    "run": end - loaded - covered(both, loaded, end),
    "total": end - start,
}))
"""


def measure(run: str, image: str, cache: str) -> dict[str, float]:
    """Runs one first prediction of a run on an image in a new process; returns the seconds of each part.

    Args:
      run: folder of the run.
      image: path of the image.
      cache: folder of the compilation cache.
    """
    tree = pathlib.Path.cwd()
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", MEASURE, run, image]
    ended = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def main(run: str, image: str, repetitions: str = "5") -> None:
    """Prints the median time of each part over the repetitions."""
    with tempfile.TemporaryDirectory() as cache:
        measure(run, image, cache)  # This first prediction fills the cache and is not counted.
        measured = [measure(run, image, cache) for _ in range(int(repetitions))]
    print("  ".join(f"{part} {statistics.median(times[part] for times in measured):.2f}" for part in PARTS))


if __name__ == "__main__":
    main(*sys.argv[1:])
