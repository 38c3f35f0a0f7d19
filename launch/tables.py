"""Evaluates or trains the networks of Tables 3, 4 and 5 of AggPose and prints these tables. See tables.sh."""

import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR")
DEBUG = ("--config.data=synthetic", "--config.keypoint_set=infant_21", "--config.detections=")


class Row(NamedTuple):
    """A row of a table.

    Attributes:
      method: name of the method in the paper.
      experiment: its experiment in configs/; empty for OpenPose, whose files are scored on the data set of infants.
      published: metrics in the paper by name, in percent.
      files: names of published weights, of which the first that exists in WEIGHTS is evaluated. Without one, the
        network is trained. For OpenPose, the folder of its files.
      start: what training starts from: a file in WEIGHTS, or the name of another row.
      backbone, gflops: what the paper prints.
    """

    method: str
    experiment: str
    published: dict[str, float]
    files: tuple[str, ...] = ()
    start: str = ""
    backbone: str = "-"
    gflops: float | None = None


def _coco(*values: float) -> dict[str, float]:
    return dict(zip(METRICS, values, strict=True))


ROWS = {  # by the name of the folder in RESULTS
    "coco_simple_baseline": Row(
        "SimpleBaseline-Res152", "simple_baseline", _coco(72.0, 89.3, 79.8, 68.7, 78.9, 77.8),
        ("pose_resnet_152_256x192.pth.tar", "pose_resnet_152_256x192.pth"), "resnet152-b121ed2d.pth", gflops=15.7,
    ),
    "coco_hrnet_w32": Row(
        "HRNet-W32", "hrnet", _coco(74.4, 90.5, 81.9, 70.8, 81.0, 79.8),
        ("pose_hrnet_w32_256x192.pth",), "hrnet_w32-36af842e.pth", gflops=7.1,
    ),
    "coco_hrnet_w48": Row(
        "HRNet-W48", "hrnet:w48", _coco(75.1, 90.6, 82.2, 71.5, 81.8, 80.4),
        ("pose_hrnet_w48_256x192.pth",), "hrnet_w48-8ef0771d.pth", gflops=16.0,
    ),
    "coco_transpose": Row(
        "TransPose", "transpose", {"AP": 75.8, "AR": 80.8},
        ("tp_h_48_256x192_enc6_d96_h192_mh1.pth",), "hrnet_w48-8ef0771d.pth", "HRNet", 21.8,
    ),
    "coco_tokenpose": Row(
        "TokenPose-L/D24", "tokenpose", _coco(75.8, 90.3, 82.5, 72.3, 82.7, 80.9), (), "hrnet_w48-8ef0771d.pth",
        "HRNet", 11.0,
    ),
    "coco_hrformer": Row(
        "HRFormer-B", "hrformer", _coco(75.6, 90.8, 82.8, 71.7, 82.6, 80.8), ("hrformer_b.pth",), "hrt_base.pth",
        "HRNet", 12.2,
    ),
    "coco_aggpose_s": Row(
        "AggPose-S", "coco_l:s", _coco(75.2, 89.9, 82.0, 71.4, 82.4, 80.3), ("aggpose_s.pth",), "mit_b2.pth", "MiT-B2",
        9.0,
    ),
    "coco_aggpose_l": Row(
        "AggPose-L", "coco_l", _coco(76.3, 90.5, 82.8, 72.6, 83.4, 81.3), ("aggpose_l.pth",), "mit_b5.pth", "MiT-B5",
        15.0,
    ),
    "infant_openpose": Row("OpenPose", "", {"AP": 90.2, "AR": 91.1}, ("openpose",)),
    "infant_simple_baseline": Row(
        "SimpleBaseline-Res152", "simple_baseline:infant", {"AP": 93.9, "AR": 94.9}, (), "coco_simple_baseline"
    ),
    "infant_hrnet_w48": Row("HRNet-W48", "hrnet:w48,infant", {"AP": 94.5, "AR": 95.6}, (), "coco_hrnet_w48"),
    "infant_hrformer": Row("HRFormer-B", "hrformer:infant", {"AP": 93.8, "AR": 95.0}, (), "coco_hrformer"),
    "infant_tokenpose": Row("TokenPose-L/D24", "tokenpose:infant", {"AP": 93.0, "AR": 93.9}, (), "coco_tokenpose"),
    "infant_aggpose_l": Row(
        "AggPose-L", "infant_l", {"AP": 95.0, "AR": 95.7}, ("aggpose_l_infant.pth",), "coco_aggpose_l"
    ),
    "coco_swin": Row(
        "Swin-B", "swin_pose", {"AP": 74.3}, ("swin_b_p4_w7_coco_256x192-7432be9e_20220705.pth",),
        "swin_base_patch4_window7_224_22k.pth", gflops=17.6,
    ),
    "coco_mit_b5": Row("SegFormer-B5", "coco_mit_b5", {"AP": 74.2}, ("segformer_b5.pth",), "mit_b5.pth", gflops=12.3),
}  # fmt: skip
TABLES = {  # by their title: the columns, and the rows by their names
    "Table 3: COCO val2017, detected boxes": (
        ("Method", "Input size", "Backbone", "GFLOPs", "GMACs", "Parameters", *METRICS),
        [name for name in ROWS if name.startswith("coco_")][:8],
    ),
    "Table 4: infants, annotated boxes; AP16 and AR16 are of the 16 keypoints that OpenPose has": (
        ("Method", "Input size", "AP", "AR", "AP16", "AR16"), [name for name in ROWS if name.startswith("infant_")]
    ),
    "Table 5: COCO val2017, without aggregation": (
        ("Method", "Input size", "GFLOPs", "GMACs", "Parameters", "AP"), ["coco_swin", "coco_mit_b5", "coco_aggpose_l"]
    ),
}  # fmt: skip


class Tables:
    """Makes the rows of the tables.

    Args:
      weights: folder of the published files; None trains debug variants on synthetic infants.
      results: folder that gets one folder for each row.
      flags: flags of every training and evaluation.
    """

    def __init__(self, weights: pathlib.Path | None, results: pathlib.Path, flags: Sequence[str]):
        self._weights, self._results = weights, results
        self._flags: tuple[str, ...] = (*flags, *(() if weights else DEBUG))

    def make(self, name: str) -> bool:
        """Evaluates or trains the network of a row unless its metrics exist; returns whether they exist now."""
        row, out = ROWS[name], self._results / name
        if (out / "metrics.json").exists():
            return True
        published = next((file for file in map(self._file, row.files) if file), None)
        if published and not row.experiment:
            return self._evaluate(out, "--results", published, "infant_l")
        if published:
            return self._evaluate(out, "--checkpoint", published, row.experiment)
        if not row.experiment:
            return self._weights is None or _report(name, f"there is no folder {row.files[0]} in WEIGHTS")
        start = self._start(row.start)
        if start is None:
            return _report(name, f"there is no {' or '.join((*row.files, row.start))}")
        options = (f"--config={self._experiment(row.experiment)}", f"--config.init_from={start}", *self._flags)
        return _run("main", *options, f"--workdir={out}") and _run("evaluate", f"--checkpoint={out}", *self._changes())

    def _evaluate(self, out: pathlib.Path, option: str, path: pathlib.Path, experiment: str) -> bool:
        options = (f"{option}={path}", f"--config={self._experiment(experiment)}", f"--out={out}")
        return _run("evaluate", *options, *self._flags)

    def _experiment(self, experiment: str) -> str:
        """Returns an experiment, or its debug variant if there is no folder of weights."""
        name, _, words = experiment.partition(":")
        return experiment if self._weights else f"{name}:{f'{words},' if words else ''}debug"

    def _changes(self) -> list[str]:
        """Returns the flags that may differ from those of the training of a run."""
        return [flag for flag in self._flags if flag.startswith(("--config.data_dir", "--config.eval"))]

    def _start(self, name: str) -> str | None:
        """Returns the file or run from which a row starts, "" for new parameters, or None if it does not exist."""
        if name not in ROWS:
            file = self._file(name)
            return "" if self._weights is None else str(file) if file else None
        file = next((file for file in map(self._file, ROWS[name].files) if file), None)
        run = self._results / name
        return str(file) if file else str(run) if (run / "checkpoints").exists() else None

    def _file(self, name: str) -> pathlib.Path | None:
        file = self._weights / name if self._weights else None
        return file if file and file.exists() else None

    def print(self) -> None:
        """Prints the tables, with the published metrics in brackets, and writes them to RESULTS/tables.md."""
        lines = []
        for title, (columns, names) in TABLES.items():
            lines += [f"{title}\n", _line(columns), _line(["---"] * len(columns))]
            lines += [_line(self._cell(name, column) for column in columns) for name in names]
            lines.append("")
        text = "\n".join(
            [
                *lines,
                "Metrics in percent, those of the paper in brackets. GFLOPs are those that the paper prints, GMACs and "
                "parameters (without fixed position tables) are counted.",
            ]
        )
        (self._results / "tables.md").write_text(f"{text}\n")
        print(text)

    def _cell(self, name: str, column: str) -> str:
        row = ROWS[name]
        if column in ("Input size", "GMACs", "Parameters"):
            return size(self._experiment(row.experiment), self._flags)[column] if row.experiment else "any"
        text = {"Method": row.method, "Backbone": row.backbone, "GFLOPs": str(row.gflops)}
        return text.get(column) or self._metric(name, column)

    def _metric(self, name: str, column: str) -> str:
        """Returns a measured metric, with the published one in brackets; "-" where there is none."""
        file = self._results / name / "metrics.json"
        stored = json.loads(file.read_text()) if file.exists() else {}
        metrics = stored.get("openpose", {}).get("metrics", {}) if column.endswith("16") else stored.get("metrics", {})
        value, published = metrics.get(column.removesuffix("16")), ROWS[name].published.get(column)
        measured = "-" if value is None else f"{100 * value:.1f}"
        return measured if published is None else f"{measured} ({published})"


@functools.cache
def size(experiment: str, flags: tuple[str, ...]) -> dict[str, str]:
    """Returns the input size, parameters and multiply-adds of the network of an experiment, by the names of columns."""
    import jax
    import jax.numpy as jnp

    from aggpose_jax.config import read_experiment
    from aggpose_jax.estimation.pose_model import PoseModel
    from aggpose_jax.networks import multiply_adds

    config = read_experiment(experiment, [flag.removeprefix("--config.") for flag in flags])
    model = PoseModel.from_config(config)
    shapes = model.shapes()
    total, _ = multiply_adds.count(
        lambda variables: model.apply(variables, jnp.zeros((1, *config.input_size, 3))), shapes
    )
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    height, width = config.input_size
    return {"Input size": f"{height}×{width}", "GMACs": f"{total / 1e9:.2f}", "Parameters": f"{parameters:,}"}


def _line(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _report(name: str, fault: str) -> bool:
    print(f"{name}: {fault}; its row stays empty", file=sys.stderr, flush=True)
    return False


def _run(program: str, *options: str) -> bool:
    """Runs a program of the package; returns whether it succeeded."""
    command = [sys.executable, "-m", f"aggpose_jax.{program}", *options]
    print(f"== {program} {' '.join(options)}", flush=True)
    return subprocess.run(command).returncode == 0


def main(weights: str, results: str, *flags: str) -> int:
    """Makes all rows and prints the tables; returns 1 if a row is missing, else 0."""
    folder = pathlib.Path(results)
    folder.mkdir(parents=True, exist_ok=True)
    tables = Tables(None if weights == ":debug" else pathlib.Path(weights), folder, flags)
    made = [tables.make(name) for name in ROWS]
    tables.print()
    return 0 if all(made) else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: launch/tables.sh WEIGHTS|:debug RESULTS [--config.key=value …]")
    sys.exit(main(*sys.argv[1:]))
