"""Conversion of state dicts of Hugging Face's Segformer to the original names of the Mix Transformer.

Both namings of its encoder are supported: that of published files (`encoder.block.0.0.attention.self.query.weight`) and
that of modules since transformers 5 (`stages.0.blocks.0.attention.q_proj.weight`), each with or without the prefix
`segformer.`.
"""

import re
from collections.abc import Mapping

import numpy as np

MODULES = (  # Stages are numbered from 0 in Hugging Face's names and from 1 in the original ones.
    (r"encoder\.patch_embeddings\.(\d)\.(.*)", "patch_embed{0}.{1}"),
    (r"encoder\.block\.(\d)\.(.*)", "block{0}.{1}"),
    (r"encoder\.layer_norm\.(\d)\.(.*)", "norm{0}.{1}"),
    (r"stages\.(\d)\.patch_embeddings\.(.*)", "patch_embed{0}.{1}"),
    (r"stages\.(\d)\.blocks\.(\d+\.(?:attention|layernorm|layer_norm|mlp).*)", "block{0}.{1}"),
    (r"stages\.(\d)\.layer_norm\.(.*)", "norm{0}.{1}"),
)
LAYERS = (
    (r"^(block\d\.\d+)\.(layer_norm_1|layernorm_before)\.", r"\1.norm1."),
    (r"^(block\d\.\d+)\.(layer_norm_2|layernorm_after)\.", r"\1.norm2."),
    (r"\.attention\.(self\.query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(self\.key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(self\.value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(self\.sr|sequence_reduction\.sequence_reduction)\.", ".attn.sr."),
    (r"\.attention\.(self|sequence_reduction)\.layer_norm\.", ".attn.norm."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.mlp\.dense([12])\.", r".mlp.fc\1."),
    (r"^(patch_embed\d)\.layer_norm\.", r"\1.norm."),
)
HEADS = re.compile(r"(decode_head|classifier)\..*")  # tensor names of the heads for segmentation and classification
KEY = re.compile(r"(block\d\.\d+\.attn)\.k\.(weight|bias)")


def original_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a state dict of Segformer in the original naming, without the heads for other tasks.

    Tensors with other names are unchanged, and so are state dicts of other networks.
    """
    if not any(_original_name(name) for name in tensors):
        return dict(tensors)
    renamed = {_original_name(name) or name: tensor for name, tensor in tensors.items() if not HEADS.fullmatch(name)}
    for name in [name for name in renamed if KEY.fullmatch(name)]:
        value = name.replace(".k.", ".v.")
        if value in renamed:  # The original weights have one linear layer for keys and values, keys first.
            renamed[name.replace(".k.", ".kv.")] = np.concatenate([renamed.pop(name), renamed.pop(value)])
    return renamed


def _original_name(name: str) -> str | None:
    """Returns the original name of a tensor of Hugging Face's Segformer; None if it does not belong to the encoder."""
    name = name.removeprefix("segformer.")
    for pattern, original_module in MODULES:
        match = re.fullmatch(pattern, name)
        if match:
            name = original_module.format(int(match[1]) + 1, match[2])
            for layer, original_layer in LAYERS:
                name = re.sub(layer, original_layer, name)
            return name
    return None
