"""Measures a pose network: its forward pass beside that of other programs, and crops to keypoints."""

import functools
from collections.abc import Callable, Sequence

import jax
import ml_collections
import numpy as np

from aggpose_jax.benchmarks import peers, timing
from aggpose_jax.benchmarks.measurements import OUT_OF_MEMORY, Measurement
from aggpose_jax.benchmarks.programs import compile_program, is_out_of_memory
from aggpose_jax.estimation.pose_model import PoseModel, Variables
from aggpose_jax.networks.stacking import for_inference

TOLERANCE = 1e-3  # of the largest heatmap value: beyond this difference a peer does not compute the same


def measure(config: ml_collections.ConfigDict, batches: Sequence[int], compared: Sequence[str]) -> list[Measurement]:
    """Measures the forward pass for each batch size, each peer in turn with it, and the estimation of keypoints.

    Args:
      config: the experiment with the network; random weights are as fast as trained ones.
      batches: numbers of crops.
      compared: names of peers, keys of `peers.PEERS`. One that cannot run gets a row that says why.

    Raises:
      UserError: the configuration has no pose network.
    """
    model = PoseModel.from_config(config)
    variables = jax.device_get(jax.jit(model.init)(jax.random.key(0)))
    found, opened = [], {}
    for name in compared:
        try:
            opened[name] = peers.open_peer(name, model, variables)
        except peers.Unavailable as error:
            found.append(Measurement(name, note=str(error)))
    rows, variables = [], jax.device_put(for_inference(variables))
    for batch in batches:
        for measure_one in (_forward, _estimate):
            try:
                rows += measure_one(model, variables, batch, config.model.dtype, opened)
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                rows.append(Measurement(f"{batch} crops", batch, note=OUT_OF_MEMORY))
    return rows + found


def _forward(
    model: PoseModel, variables: Variables, batch: int, dtype: str, opened: dict[str, peers.Peer]
) -> list[Measurement]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *model.codec.input_size, 3)).astype(np.float32)
    program, cost = compile_program(model.apply, variables, images)
    expected = np.asarray(program(variables, images))
    functions: dict[str, Callable[[], object]] = {"": lambda: jax.block_until_ready(program(variables, images))}
    notes = {}
    for name, peer in opened.items():
        difference = np.abs(peer(images) - expected).max() / np.abs(expected).max()
        notes[name] = "" if difference <= TOLERANCE else f"its heatmaps differ by {difference:.1g} of the largest value"
        functions[name] = functools.partial(peer, images)
    times = timing.in_turn(functions)
    ours = Measurement(f"forward, {batch} crops", batch, times[""], cost, dtype)
    others = [
        Measurement(f"forward, {batch} crops, {name}", batch, times[name], slower=timing.ratio(times[name], times[""]),
                    note=notes[name])
        for name in opened
    ]  # fmt: skip
    return [ours, *others]


def _estimate(
    model: PoseModel, variables: Variables, batch: int, dtype: str, opened: dict[str, peers.Peer]
) -> list[Measurement]:
    crops = np.random.default_rng(0).integers(0, 256, (batch, *model.codec.input_size, 3), np.uint8)
    to_image = np.tile(np.eye(2, 3, dtype=np.float32), (batch, 1, 1))
    program, cost = compile_program(model.estimate, variables, crops, to_image)
    times = timing.in_turn({"": lambda: jax.block_until_ready(program(variables, crops, to_image))})
    name = "crops to keypoints with flip test" if model.flip_test else "crops to keypoints"
    return [Measurement(f"{name}, {batch} crops", batch, times[""], cost, dtype)]
