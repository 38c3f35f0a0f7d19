"""A network with its weights as one program for other runtimes: StableHLO and ONNX.

Both take images [N, 3, H, W], normalised, and give heatmaps [N, K, H/4, W/4], as PyTorch has them, for any N.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import export, lax

from aggpose_jax.errors import UserError

PLATFORMS = ("cpu", "cuda", "tpu")


def channels_first(model: nn.Module, variables: Mapping) -> Callable[[jax.Array], jax.Array]:
    """The network as a function from [N, 3, H, W] to [N, K, H/4, W/4]."""

    def heatmaps(images):
        return model.apply(variables, images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    return heatmaps


def to_stablehlo(model: nn.Module, variables: Mapping, input_size: tuple[int, int]) -> bytes:
    """The program for CPU, CUDA and TPU; `jax.export.deserialize(…).call(images)` runs it.

    Raises:
      UserError: if flatbuffers is not installed.
    """
    _require("flatbuffers", "StableHLO files")
    (batch,) = export.symbolic_shape("N")
    images = jax.ShapeDtypeStruct((batch, 3, *input_size), jnp.float32)
    function = channels_first(model.clone(unroll=1), variables)
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(images).serialize())


def to_onnx(model: nn.Module, variables: Mapping, input_size: tuple[int, int]) -> bytes:
    """The program as an ONNX model with input `images` and output `heatmaps`.

    Raises:
      UserError: if jax2onnx is not installed.
    """
    jax2onnx = _require("jax2onnx", "ONNX files")
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of every value whose type it infers later
    function = channels_first(model.clone(unroll=1), variables)

    def traceable(images):
        with _portable():
            return function(images)

    program = jax2onnx.to_onnx(
        traceable, [("N", 3, *input_size)], input_names=["images"], output_names=["heatmaps"], model_name="heatmaps"
    )
    return program.SerializeToString()


@contextlib.contextmanager
def _portable() -> Iterator[None]:
    """Traces what the ONNX exporter can take.

    It knows no choice by platform, so the form for all of them is traced; and it replaces jnp.shape by one that gives
    no numbers, which flax's scan needs.
    """
    default_form = mock.patch.object(lax, "platform_dependent", lambda *args, default, **forms: default(*args))
    with default_form, mock.patch.object(jnp, "shape", np.shape):
        yield


def _require(module: str, for_what: str):
    try:
        return __import__(module)
    except ImportError:
        raise UserError(f"{for_what} need {module}: pip install {module}") from None
