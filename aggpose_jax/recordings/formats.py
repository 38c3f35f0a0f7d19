"""The output formats of recordings by name."""

from aggpose_jax.recordings import coco, deeplabcut, openpose, tidy

FORMATS = {  # name: function that writes poses into a folder; stem is the name of the video without its suffix
    "coco": lambda poses, folder, stem: coco.write(poses, folder / "keypoints.json"),
    "csv": lambda poses, folder, stem: tidy.write(poses, folder / "keypoints.csv"),
    "deeplabcut": lambda poses, folder, stem: deeplabcut.write(poses, folder / "deeplabcut.csv"),
    "deeplabcut_h5": lambda poses, folder, stem: deeplabcut.write_h5(poses, folder / "deeplabcut.h5"),
    "openpose": lambda poses, folder, stem: openpose.write(poses, folder / "openpose", stem),
}
