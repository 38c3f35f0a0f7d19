"""Exports every published network to ONNX and compares it with JAX, for one image and for three. Run it by hand:

PYTHONPATH=.:tests:tests/networks taskset --cpu-list 0,1 python tests/endurance/export_networks.py [NAME …]

About 20 minutes on two cores for all of them. Each network has the weights of its reference vectors, and images have
256×192 pixels. The script prints for each network the error of its heatmaps for one image and for three, as
‖Δ‖ / ‖h − h̄‖, where h̄ is the mean of each map, and in brackets as the largest difference; the seconds of the export
and the size of the file; and the median milliseconds of one image in ONNX Runtime and in JAX, each on two threads.
"""

import statistics
import sys
import time

import jax
import numpy as np
import onnxruntime
from published import published, relative_error
from published_networks import NETWORKS

from aggpose_jax.weights import export
from aggpose_jax.weights.state_dicts import read_state_dict

SIZE = (256, 192)
BATCHES = (1, 3)
REPETITIONS = 10


def make_session(program: bytes) -> onnxruntime.InferenceSession:
    """Returns a session of ONNX Runtime that runs on two threads and logs only errors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 2, 3
    return onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])


def median_milliseconds(run) -> float:
    """Returns the median time of a call after a first one."""
    run()
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    images = np.random.default_rng(7).standard_normal((max(BATCHES), 3, *SIZE)).astype(np.float32)
    for name in sys.argv[1:] or NETWORKS:
        model, variables = (found := read_state_dict(published(name))).model, found.variables
        start = time.perf_counter()
        program = export.to_onnx(model, variables, SIZE)
        seconds = time.perf_counter() - start
        session = make_session(program)
        in_jax = jax.jit(export.channels_first(model, variables))
        # One image at a time, so that an image which changes the heatmaps of another is an error.
        expected = np.concatenate([in_jax(image[None]) for image in images])
        row = f"{name:16}"
        for n in BATCHES:
            (heatmaps,) = session.run(None, {"images": images[:n]})
            largest = np.abs(heatmaps - expected[:n]).max()
            row += f" {n}: {relative_error(heatmaps, expected[:n]):.1e} ({largest:.1e})  "
        feed = {"images": images[:1]}
        in_onnx = median_milliseconds(lambda session=session, feed=feed: session.run(None, feed))
        in_jax = median_milliseconds(lambda in_jax=in_jax: in_jax(images[:1]).block_until_ready())
        size = len(program) / 1e6
        print(f"{row} export {seconds:.0f} s, {size:.1f} MB   ONNX {in_onnx:.0f} ms, JAX {in_jax:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
