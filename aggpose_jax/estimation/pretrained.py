"""The network whose weights come with the package: it finds infants in videos without any further training.

The folder `aggpose_jax/pretrained` holds the weights, the configuration of their training and the model card.
"""

import hashlib
import pathlib
import re

from aggpose_jax.errors import UserError
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import Weights, read_state_dict

NAME = "pretrained"  # names these weights wherever a run or a weight file can be named
FOLDER = pathlib.Path(__file__).parents[1] / "pretrained"
WEIGHTS, CARD = "weights.safetensors", "README.md"
DIGEST = re.compile(r"(?<=SHA-256 `)[0-9a-f]{64}(?=`)")  # where the model card states the SHA-256 of the weights


def locate(source: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the weights that come with the package if `source` is their name, else `source`."""
    return FOLDER if str(source) == NAME else source


def read() -> Weights:
    """Returns the network and the variables that come with the package.

    Raises:
      UserError: a file is missing, or the weights are not those that the model card describes.
    """
    try:
        content, card = (FOLDER / WEIGHTS).read_bytes(), (FOLDER / CARD).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); reinstall aggpose_jax") from None
    if hashlib.sha256(content).hexdigest() not in DIGEST.findall(card):
        raise UserError(
            f"{FOLDER / WEIGHTS}: its SHA-256 is not the one in the model card, {FOLDER / CARD}; reinstall aggpose_jax"
        )
    return read_state_dict(weight_files.read(FOLDER / WEIGHTS))
