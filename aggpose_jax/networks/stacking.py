"""The blocks of a stage of a Mix Transformer, whose parameters are stacked on a leading axis or lie apart.

Stacked, a stage is one compiled loop, which accelerators compile quickly, and its weights are few large arrays. On CPU
a product with a slice of a stacked array first copies the slice: with AggPose-L and one image, a fifth of the time. The
variables of a trained network can therefore be taken apart for prediction, see `unstack`.
"""

import re
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

STACKED = re.compile(r"(.*stage[^/]*/)blocks(/.*)")  # paths of stacked parameters
MAX_UNROLLED = 8  # largest number of blocks of a stage that is trained on CPU without a loop over its blocks


def block_name(number: int) -> str:
    """Returns the name of the parameters of a block, numbered from 0, in variables whose blocks are apart."""
    return f"block{number}"


def unstack(variables: Any) -> Any:
    """Returns variables of a network in which every block of a Mix Transformer has arrays of its own.

    The network computes the same from them. Variables of other modules are unchanged.
    """
    flat: dict[str, Any] = {}
    for path, leaf in flatten_dict(variables, sep="/").items():
        if match := STACKED.fullmatch(path):
            flat |= {f"{match[1]}{block_name(number)}{match[2]}": block for number, block in enumerate(leaf)}
        else:
            flat[path] = leaf
    return unflatten_dict(flat, sep="/")


def for_inference(variables: Any) -> Any:
    """Returns the variables of a trained network in the form that is fastest on this platform: on CPU unstacked."""
    return unstack(variables) if jax.default_backend() == "cpu" else variables


def default_unroll(depth: int, train: bool) -> int:
    """Returns how many stacked blocks of a stage one iteration of its compiled loop should contain on this platform.

    Args:
      depth: number of blocks of the stage.
      train: whether a gradient will be taken.

    Returns:
      On CPU all blocks, which takes up to a fifth less time, but 1 for the gradient of a deep stage, whose time without
      a loop grows faster than its depth: from about 10 blocks on it is slower than a loop, and at 40 blocks (eight
      images, B5) it took 6 times as long. On other platforms 1, which compiles faster.
    """
    unrolled = jax.default_backend() == "cpu" and (depth <= MAX_UNROLLED or not train)
    return depth if unrolled else 1
