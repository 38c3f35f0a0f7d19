"""Writes the best checkpoint of a run in half precision, with its configuration: for the package, or to a folder.

python launch/release_pretrained.py RUN [FOLDER]

Without FOLDER they become the network of the package, and the model card gets the SHA-256 of the weights.
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


def main(run: str, folder: str = str(pretrained.FOLDER)) -> None:
    """Writes the weights of a run and its configuration, and updates the model card if there is one."""
    restored = restore(pathlib.Path(run))
    tensors = write_state_dict(restored.model.network, restored.variables)
    weights, card = pathlib.Path(folder, pretrained.WEIGHTS), pathlib.Path(folder, pretrained.CARD)
    weights.parent.mkdir(parents=True, exist_ok=True)
    weight_files.write(weights, {name: tensor.astype(np.float16) for name, tensor in tensors.items()})
    # Where the data and the first weights were on the machine that trained is of no use on another.
    save_config(change(restored.config, ["data_dir=data/infants", "init_from="]), weights.parent / "config.json")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if card.exists():
        card.write_text(pretrained.DIGEST.sub(digest, card.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{weights}: step {restored.step}, {weights.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
