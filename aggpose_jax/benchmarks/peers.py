"""Other programs that run the same network with the same weights: PyTorch, ONNX Runtime and OpenVINO.

A peer is a function from normalised images, float32 [B, H, W, 3], to heatmaps [B, H/4, W/4, K]. Their libraries are
extras, which are imported when a peer is opened. All of them use as many threads as this process may use cores.
"""

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.pose_model import PoseModel, Variables
from aggpose_jax.networks.aggpose import AggPose
from aggpose_jax.weights import export
from aggpose_jax.weights.state_dicts import write_state_dict

Peer = Callable[[np.ndarray], np.ndarray]
ADVICE = 'install it with pip install "aggpose_jax[torch,onnx]" onnxruntime openvino'


class Unavailable(Exception):
    """A peer cannot run this network on this machine; the message says why."""


def open_peer(name: str, model: PoseModel, variables: Variables) -> Peer:
    """Returns a peer with the weights of a model.

    Raises:
      Unavailable: its library is not installed, or it has no such network.
    """
    try:
        return PEERS[name](model, variables)
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed; {ADVICE}") from None
    except UserError as error:
        raise Unavailable(str(error)) from None


def threads() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def make_twin(model: PoseModel, variables: Variables) -> Any:
    """Returns the network of a model as a torch.nn.Module.

    Raises:
      Unavailable: there is no twin of this network.
    """
    from aggpose_jax.benchmarks import torch_twin

    network = model.network
    if not isinstance(network, AggPose) or network.fusion != "released":
        raise Unavailable(f"there is no {type(network).__name__} of PyTorch's modules to compare with")
    return torch_twin.build(network, write_state_dict(network, variables))


def _torch(model: PoseModel, variables: Variables, compiled: bool = False) -> Peer:
    import torch

    torch.set_num_threads(threads())
    twin = make_twin(model, variables)
    forward = torch.compile(twin) if compiled else twin
    layouts: dict[tuple[int, ...], Any] = {}  # the faster memory layout, by the shape of the images

    def run(tensor: Any) -> Any:
        with torch.inference_mode():
            return forward(tensor)

    def peer(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        if images.shape not in layouts:
            formats = (torch.contiguous_format, torch.channels_last)
            trials = [tensor.to(memory_format=one) for one in formats]
            seconds = [_second_call(functools.partial(run, trial)) for trial in trials]
            layouts[images.shape] = formats[int(np.argmin(seconds))]
        result: np.ndarray = run(tensor.to(memory_format=layouts[images.shape])).numpy().transpose(0, 2, 3, 1)
        return result

    return peer


def _second_call(function: Callable[[], object]) -> float:
    function()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _onnxruntime(model: PoseModel, variables: Variables) -> Peer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_onnx(model, variables), options, providers=["CPUExecutionProvider"])

    def peer(images: np.ndarray) -> np.ndarray:
        (heatmaps,) = session.run(None, {"images": np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
        result: np.ndarray = heatmaps.transpose(0, 2, 3, 1)
        return result

    return peer


def _openvino(model: PoseModel, variables: Variables) -> Peer:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads(), "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    program = core.compile_model(core.read_model(_onnx(model, variables), b""), "CPU", settings)

    def peer(images: np.ndarray) -> np.ndarray:
        heatmaps = program([np.ascontiguousarray(images.transpose(0, 3, 1, 2))])[0]
        result: np.ndarray = np.asarray(heatmaps).transpose(0, 2, 3, 1)
        return result

    return peer


def _onnx(model: PoseModel, variables: Variables) -> bytes:
    return export.to_onnx(model.network, jax.device_get(variables), model.codec.input_size)


PEERS: dict[str, Callable[[PoseModel, Variables], Peer]] = {
    "torch": _torch,
    "torch-compile": functools.partial(_torch, compiled=True),
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
