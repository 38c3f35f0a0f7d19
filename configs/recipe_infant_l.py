"""AggPose-L by the staged training policy of AggPose §4.1, from an ImageNet Mix Transformer to infants.

launch/recipe_infant_l.sh runs/recipe mit_b5.pth

The script trains the stages in order, each from the best checkpoint of the stage before it:

  mit       train the pose model without aggregation on COCO
  join      copy its weights into every layer of AggPose; freeze the stages and train the modules between them
  level1…4  freeze one stream after another and train all other parameters
  coco      train all parameters on COCO
  infant    train all parameters on infants, with a new head

The paper names the stages but gives epochs and learning rates for the last one only. Those of the other stages were
chosen for this configuration. The data directories are those of configs/coco_l.py and configs/infant_l.py.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco, use_infant_pose

# stage: (epochs, learning rate, epochs at which the rate is multiplied by 0.1, patterns of frozen parameters)
STAGES = {
    "mit": (210.0, 1e-3, (170.0, 200.0), ()),
    "join": (20.0, 1e-3, (), ("stage.*", "embed1/.*")),
    **{f"level{i}": (10.0, 1e-4, (), (f"stage{i}_.*",)) for i in range(1, 5)},
    "coco": (60.0, 1e-4, (30.0, 50.0), ()),
    "infant": (100.0, 1e-4, (50.0, 80.0), ()),
}


def get_config(arg: str = ""):
    """Returns one stage of the recipe: `:STAGE`, by default the last one.

    `:STAGE,debug` selects its debug variant, which takes a few steps with a tiny network on synthetic infants.
    """
    words = read_argument(arg, tuple(STAGES), "debug")
    stage = next((stage for stage in STAGES if stage in words), "infant")
    config = default_config()
    use_infant_pose(config) if stage == "infant" else use_coco(config)
    config.model.name = "mit_pose_b5" if stage == "mit" else "aggpose_l"
    config.epochs, config.learning_rate, config.decay_epochs, config.freeze = STAGES[stage]
    if "debug" not in words:
        return config
    # The COCO stages use synthetic infants too, because there is no synthetic data set of adults.
    config.data, config.keypoint_set = "synthetic", "infant_21"
    return debug_variant(config)
