"""The masked pretrainings of the protocol: an experiment with the variants of PROTOCOL.md as arguments.

aggpose train --config tests/endurance/few_labels/pretraining.py:crops
aggpose train --config tests/endurance/few_labels/pretraining.py:crops,film --config.data_dir=FRAMES
"""

from aggpose_jax.config import read_argument
from configs import mae_synthetic

VARIANTS = ("frames", "crops", "normalised", "temporal", "teacher")
OFFSET = 8  # frames, a quarter of a second at 30 frames per second: hands move by about their width


def get_config(arg: str = "crops"):
    """Returns the experiment of a variant; `film` selects whole frames of a film for infants and their crops."""
    words = read_argument(arg, VARIANTS, "film")
    config = mae_synthetic.get_config()
    if "frames" not in words:
        config.boxes = "truth"
        config.input_size = (128, 96)
        config.model.mask_patch = 16
        config.mask_ratio = 0.6
        config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 96, 1, 4
        config.batch_size = 32
        config.steps = 2500
        config.eval_epochs = 5.0
    if "normalised" in words:
        config.normalise_pixels = True
    if "temporal" in words:
        config.frame_stride = OFFSET + 1  # One pair of frames of each infant: more infants vary the data more.
        config.synthetic_train = 2400
        config.target_offset = OFFSET
    if "teacher" in words:
        config.target, config.teacher = "heatmaps", "pretrained"
    if "film" in words:
        config.data, config.boxes = "frames", ""
        config.input_size = (192, 256)  # as in the fine-tuning
        config.batch_size = 8
        config.steps = 2500
        config.held_out = 0.1
    return config
