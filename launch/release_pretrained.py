"""Writes the best checkpoint of a run to aggpose_jax/pretrained: the weights, their configuration and their SHA-256.

python launch/release_pretrained.py runs/pretrained
"""

import hashlib
import pathlib
import sys

import numpy as np

from aggpose_jax.config import change, save_config
from aggpose_jax.estimation import pretrained
from aggpose_jax.estimation.restore import restore
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


def main(run: pathlib.Path) -> None:
    """Writes the weights of a run in half precision and its configuration, and updates the model card."""
    restored = restore(run)
    tensors = write_state_dict(restored.model.network, restored.variables)
    weights, card = pretrained.FOLDER / pretrained.WEIGHTS, pretrained.FOLDER / pretrained.CARD
    weight_files.write(weights, {name: tensor.astype(np.float16) for name, tensor in tensors.items()})
    # Where the data and the demo were on the machine that trained is of no use on another.
    save_config(change(restored.config, ["data_dir=data/infants", "init_from="]), pretrained.FOLDER / "config.json")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card.write_text(pretrained.DIGEST.sub(digest, card.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{weights}: step {restored.step}, {weights.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
