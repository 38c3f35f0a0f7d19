"""Export of a network with its weights as a program for other runtimes, in StableHLO or ONNX.

The programs map normalised images [N, 3, H, W] to heatmaps [N, K, H/4, W/4], channels first as in PyTorch, for any N.
"""

import contextlib
import dataclasses
import functools
import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import export, lax

from aggpose_jax.errors import UserError
from aggpose_jax.networks import depthwise, layers, ops

PLATFORMS = ("cpu", "cuda", "tpu")


def channels_first(model: nn.Module, variables: Mapping[str, Any]) -> Callable[[jax.Array], jax.Array]:
    """Returns the network as a function from images [N, 3, H, W] to heatmaps [N, K, H/4, W/4]."""

    def heatmaps(images: jax.Array) -> jax.Array:
        # The declared type of apply includes the tuple that it returns if collections are mutable.
        channels_last: Any = model.apply(variables, images.transpose(0, 2, 3, 1))
        output: jax.Array = channels_last.transpose(0, 3, 1, 2)
        return output

    return heatmaps


def with_loops(model: nn.Module) -> nn.Module:
    """Returns the network with one block in each iteration of the loops over its blocks, so that its program is small.

    A network that has no such loops is returned as it is.
    """
    has_loops = any(field.name == "unroll" for field in dataclasses.fields(model))
    return model.clone(unroll=1) if has_loops else model


def to_stablehlo(model: nn.Module, variables: Mapping[str, Any], input_size: tuple[int, int]) -> bytes:
    """Returns the serialised StableHLO program for CPU, CUDA and TPU.

    `jax.export.deserialize(program).call(images)` runs it. `input_size` is the height and width of images in pixels.

    Raises:
      UserError: if flatbuffers is not installed.
    """
    _require("flatbuffers", "StableHLO files")
    (batch,) = export.symbolic_shape("N")
    images = jax.ShapeDtypeStruct((batch, 3, *input_size), jnp.float32)
    function = channels_first(with_loops(model), variables)
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(images).serialize())


def to_onnx(model: nn.Module, variables: Mapping[str, Any], input_size: tuple[int, int]) -> bytes:
    """Returns the serialised ONNX model, with the input `images` and the output `heatmaps`.

    `input_size` is the height and width of images in pixels.

    Raises:
      UserError: if jax2onnx is not installed.
    """
    jax2onnx = _require("jax2onnx", "ONNX files")
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # It warns about every value whose type is inferred later.
    function = channels_first(model, variables)

    def traceable(images: jax.Array) -> jax.Array:
        with _portable():
            return function(images)

    program = jax2onnx.to_onnx(
        traceable,
        [("N", 3, *input_size)],
        input_names=["images"],
        output_names=["heatmaps"],
        model_name="heatmaps",
        normalization_mode="prefer_native",
    )
    serialised: bytes = program.SerializeToString()
    return serialised


@contextlib.contextmanager
def _portable() -> Iterator[None]:
    """Patches JAX and the networks so that functions traced in this context become operations that runtimes run fast.

    Loops over blocks are unrolled, since a runtime optimises across blocks only without them. GELU and LayerNorm become
    the operators of ONNX of these names instead of a dozen operations: jax2onnx recognises `jax.nn.gelu`, and Flax's
    LayerNorm with the fast variance, which its operator need not use. As products with matrices, an interpolation has
    two operations instead of dozens.

    jax2onnx does not support `lax.platform_dependent`, so the default form is traced. It also replaces `jnp.shape` by a
    function that does not return integers, so the original behaviour is restored. It ignores the padding of
    `nn.max_pool`.
    """
    default_form = mock.patch.object(lax, "platform_dependent", lambda *args, default, **forms: default(*args))
    maximum = mock.patch.object(ops, "halve_by_maximum", _halve_by_maximum)
    bilinear = mock.patch.object(ops, "upsample_bilinear", _upsample_bilinear)
    loops = mock.patch.object(lax, "scan", _unrolled_scan)
    gelu = mock.patch.object(depthwise, "_gelu", functools.partial(jax.nn.gelu, approximate=False))
    norm = mock.patch.object(layers, "normalise", _normalise)
    with default_form, mock.patch.object(jnp, "shape", np.shape), maximum, bilinear, loops, gelu, norm:
        yield


def _unrolled_scan(
    function: Callable[..., Any], carry: Any, inputs: Any, length: int | None = None, **options: Any
) -> Any:
    """Does what `lax.scan` does in the networks, whose loops have no stacked results, one iteration after the other."""
    count = length if length is not None else len(jax.tree.leaves(inputs)[0])
    results: Any = None
    for i in range(count):
        carry, results = function(carry, jax.tree.map(operator.itemgetter(i), inputs))
    assert not jax.tree.leaves(results)
    return carry, results


def _normalise(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Returns what `layers.normalise` returns."""
    normalised: Any = nn.LayerNorm(epsilon=epsilon, use_fast_variance=True).apply(
        {"params": {"scale": scale, "bias": bias}}, x
    )
    return normalised  # type: ignore[no-any-return]


def _halve_by_maximum(x: jax.Array) -> jax.Array:
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    maximum: jax.Array = nn.max_pool(padded, window_shape=(3, 3), strides=(2, 2))
    return maximum


def _upsample_bilinear(x: jax.Array, factor: int) -> jax.Array:
    rows, columns = (_interpolation(side, factor).astype(x.dtype) for side in x.shape[1:3])
    return jnp.einsum("bhwc,ih,jw->bijc", x, rows, columns)


def _interpolation(size: int, factor: int) -> np.ndarray:
    """Returns the weights of `size` pixels in a row in each pixel of the enlarged row, [size · factor, size]."""
    centres = (np.arange(size * factor) + 0.5) / factor - 0.5
    return np.maximum(0, 1 - abs(np.clip(centres, 0, size - 1)[:, None] - np.arange(size)))


def _require(module: str, purpose: str) -> ModuleType:
    try:
        return __import__(module)
    except ImportError:
        raise UserError(f"{purpose} require {module}, which is not installed; run pip install {module}") from None
