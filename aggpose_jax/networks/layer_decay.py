"""How far from the head of a network each parameter is, in blocks."""

import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

# Modules of the encoders: the kind, perhaps the stream, the column, which is the stage of a plain Mix Transformer.
MODULE = re.compile(r"(?:encoder/)?(stage|embed|down|down_ffn|up|merge)(?:\d_)?(\d)/")


def layers_from_head(params: Mapping) -> dict:
    """The number of layers from each parameter to the head; the head, and all that follows the encoder, has 0.

    A layer is a block. Columns follow one another, each as long as its deepest stage, and shallower stages begin with
    it. An embedding or a fusion belongs to the layer before it, the first embedding to a layer of its own.

    Args:
      params: nested arrays or shapes of one of our networks.

    Returns:
      A tree like it of int arrays: () or, for the stacked parameters of blocks, [blocks, 1, …].
    """
    flat = flatten_dict(dict(params), sep="/")
    blocks = {path.split("/blocks/")[0] + "/": leaf.shape[0] for path, leaf in flat.items() if "/blocks/" in path}
    longest = defaultdict(int)
    for stage, count in blocks.items():
        column = int(MODULE.match(stage)[2])
        longest[column] = max(longest[column], count)
    total = sum(longest.values())

    def distance(path, leaf):
        module = MODULE.match(path)
        if not module:
            return np.zeros((), int)
        kind, column = module[1], int(module[2])
        before = sum(longest[c] for c in range(1, column))
        if "/blocks/" in path:
            number = np.arange(1, leaf.shape[0] + 1).reshape(-1, *(1,) * (len(leaf.shape) - 1))
        elif kind == "stage":
            number = blocks.get(module[0], 0)
        else:
            number = 0 if kind == "embed" else longest[column]
        return np.asarray(total + 1 - before - number)

    return unflatten_dict({path: distance(path, leaf) for path, leaf in flat.items()}, sep="/")
