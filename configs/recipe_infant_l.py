"""AggPose-L by the staged training policy of AggPose §4.1, from an ImageNet Mix Transformer to infants.

launch/recipe_infant_l.sh runs/recipe mit_b5.pth

It runs the stages in order, each from the best checkpoint of the one before:

  mit       the plain pose model on COCO
  join      its weights in every layer of AggPose, whose stages are frozen: what is between them learns
  level1…4  one stream after another is frozen, all else learns
  coco      everything learns on COCO
  infant    everything learns on infants; the head is new

The paper names the stages and gives no epochs or rates for those before the last; these are ours. The data are those
of configs/coco_l.py and configs/infant_l.py.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco, use_infant_pose

# stage: (epochs, learning rate, epochs of ×0.1, frozen parameters)
STAGES = {
    "mit": (210.0, 1e-3, (170.0, 200.0), ()),
    "join": (20.0, 1e-3, (), ("stage.*", "embed1/.*")),
    **{f"level{i}": (10.0, 1e-4, (), (f"stage{i}_.*",)) for i in range(1, 5)},
    "coco": (60.0, 1e-4, (30.0, 50.0), ()),
    "infant": (100.0, 1e-4, (50.0, 80.0), ()),
}


def get_config(arg: str = ""):
    """`:STAGE`, the last by default; with `:STAGE,debug` a few steps of a tiny network on synthetic infants."""
    words = read_argument(arg, tuple(STAGES), "debug")
    stage = next((stage for stage in STAGES if stage in words), "infant")
    config = default_config()
    use_infant_pose(config) if stage == "infant" else use_coco(config)
    config.model.name = "mit_pose_b5" if stage == "mit" else "aggpose_l"
    config.epochs, config.learning_rate, config.decay_epochs, config.freeze = STAGES[stage]
    if "debug" not in words:
        return config
    config.data, config.keypoint_set = "synthetic", "infant_21"  # in every stage: there are no synthetic adults
    return debug_variant(config)
