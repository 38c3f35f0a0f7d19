"""Measures what each kind of variety of the synthetic infants is worth. Run it by hand; hours on two cores:

PYTHONPATH=. python tests/endurance/ablation.py WORKDIR

Protocol, fixed before the first run: configs/pretrained.py, which starts from the network of the demo, trained with
the same number of images, 4,000, and the same number of steps, 2,000 of 16 images, on drawn infants, and on rendered
infants of each level of variety (`staging.LEVELS`). Each network is evaluated on the same 400 infants of the
validation split with all variety, whose clothes, surfaces, things around and cameras no training shows. The first and
the last level are trained with three seeds, the others with one; the last level is also trained with four times the
images and steps, and with a larger network, AggPose-XS, from a demo of its own. A level counts as useful if its AP
exceeds that of the level before it by more than twice the standard deviation of the three seeds of the last level.
Empty frames are judged by the false finds of find_infants.py instead, since AP counts infants only.

Rerun the same command to resume. The table is printed after every run.
"""

import json
import pathlib
import subprocess
import sys

from aggpose_jax.data.synthetic.staging import LEVELS

IMAGES, STEPS = 4000, 2000
FIRST, LAST = "drawn", list(LEVELS)[-1]
# name: (level, seed, factor of images and steps, network)
RUNS = {
    LAST: (LAST, 0, 1, "aggpose_demo"),
    FIRST: (FIRST, 0, 1, "aggpose_demo"),
    **{level: (level, 0, 1, "aggpose_demo") for level in LEVELS if level != LAST},
    **{f"{level}, seed {seed}": (level, seed, 1, "aggpose_demo") for seed in (1, 2) for level in (LAST, FIRST)},
    f"{LAST}, larger network": (LAST, 0, 1, "aggpose_xs"),
    f"{LAST}, 4 times": (LAST, 0, 4, "aggpose_demo"),
}
METRICS = ("AP", "AP75", "AR", "OKS_p50", "PCK@0.1")


def run(program: str, *arguments: str) -> None:
    """Runs a program of the package; an error ends the script."""
    subprocess.run([sys.executable, "-m", f"aggpose_jax.{program}", *arguments], check=True)


def train(workdir: pathlib.Path, name: str) -> pathlib.Path:
    """Trains and evaluates a run unless this is done already; returns its folder."""
    level, seed, factor, network = RUNS[name]
    folder = workdir / "runs" / name.replace(", ", "_").replace(" ", "_")
    if (folder / "metrics.json").exists():
        return folder
    images, data = factor * IMAGES, workdir / "data" / f"{level}_{factor}"
    if level == FIRST:
        source = ("--config.data=synthetic", f"--config.synthetic_train={images}")
    else:
        run("prepare", "infants", f"--out={data}", f"--images={images}", f"--variety={level}")
        if not (data / "val").exists():
            (data / "val").symlink_to((workdir / "data" / "val").absolute())
        source = (f"--config.data_dir={data}",)
    demo, network = workdir / "demo" / network, f"--config.model.name={network}"
    run("main", "--config=synthetic", f"--workdir={demo}", network)
    options = (f"--config.steps={factor * STEPS}", "--config.eval_epochs=1000.0", f"--config.seed={seed}")
    run("main", "--config=pretrained", f"--workdir={folder}", *source, *options, network, f"--config.init_from={demo}")
    validation = ("--config.data=infants", f"--config.data_dir={workdir / 'data'}", "--config.eval_split=val")
    run("evaluate", f"--checkpoint={folder}", "--which=latest", *validation)
    return folder


def main(workdir: pathlib.Path) -> None:
    """Makes all runs of the protocol and prints their metrics."""
    run("prepare", "infants", f"--out={workdir / 'data'}", "--images=400", "--split=val", "--variety=degradation")
    rows = []
    for name in RUNS:
        metrics = json.loads((train(workdir, name) / "metrics.json").read_text())["metrics"]
        rows.append(f"{name:24}" + "".join(f"{metrics[metric]:9.3f}" for metric in METRICS))
        print(f"{'':24}" + "".join(f"{metric:>9}" for metric in METRICS), *rows, sep="\n", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
