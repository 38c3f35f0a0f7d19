"""The program of the accelerator report: python -m aggpose_jax.benchmarks.accelerator.

It imports no libraries but jax, flax, optax and numpy, and PyTorch where it is installed.
"""

import argparse
import os
import pathlib
import sys

import jax

from aggpose_jax import cli, io
from aggpose_jax.benchmarks.accelerator import page, program, roofs, stencils, torch_step, training, vectors
from aggpose_jax.benchmarks.accelerator.part import Content, Part, Setting, run
from aggpose_jax.errors import UserError

OUT, CROPS = pathlib.Path("accelerator_report"), pathlib.Path("accelerator_crops.npz")
COMPILE_FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
PARTS = (
    Part("roofs", "Limits of the device", 20, roofs.measure, roofs.describe),
    Part("vectors", "Reference vectors", 60, vectors.measure, vectors.describe),
    Part("stencils", "Depthwise convolutions", 120, stencils.measure, stencils.describe),
    Part("program", "A training step", 120, program.measure, program.describe),
    Part("training", "Training in bfloat16 and float32", 65, training.measure, training.describe),
    Part("torch", "Beside PyTorch", 60, torch_step.measure, torch_step.describe),
)
NAMES = tuple(part.name for part in PARTS)


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        "python -m aggpose_jax.benchmarks.accelerator",
        "Measures a GPU or TPU in at most 8 minutes. Rerun the same command for parts that are missing.",
        ["--out report", "--parts roofs,stencils", "--tiny"],
    )
    parser.add_argument("--out", type=cli.path, default=OUT, metavar="FOLDER", help=f"folder of the report ({OUT})")
    parser.add_argument(
        "--crops", type=cli.path, default=CROPS, metavar="FILE",
        help=f"crops of synthetic infants, written by aggpose_jax.benchmarks.accelerator_crops ({CROPS})",
    )  # fmt: skip
    parser.add_argument(
        "--parts", type=lambda text: cli.names(text, "part", NAMES), default=NAMES, metavar="A,B,…",
        help=f"parts to run: {','.join(NAMES)} (all)",
    )  # fmt: skip
    parser.add_argument("--tiny", action="store_true", help="run tiny sizes, to try the program on a CPU")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Runs the parts of a command line and writes report.json and report.md after each; fails if a part has failed."""
    # Read when the first device is used. PyTorch, which runs in the same process, needs memory too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if arguments.tiny:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {COMPILE_FAST}"
    machine = page.about()
    if jax.default_backend() == "cpu" and not arguments.tiny:
        raise UserError("JAX finds only a CPU; install its plugin for the accelerator, or try the program with --tiny")
    jax.config.update("jax_compilation_cache_dir", str(arguments.out / "compiled"))  # for reruns
    parts = [part for part in PARTS if part.name in arguments.parts]
    setting = Setting(arguments.out, arguments.crops, arguments.tiny)

    def write(results: dict[str, Content]) -> None:
        content = {"machine": machine, "tiny": setting.tiny, "parts": results}
        io.write_json(setting.folder / "report.json", content, indent=1)
        io.write_text(setting.folder / "report.md", page.write(machine, parts, results, setting.tiny))
        print(f"{list(results)[-1]}: done", flush=True)

    results = run(parts, setting, after_part=write)
    print(f"{setting.folder / 'report.md'} is written.")
    failed = [name for name, content in results.items() if "error" in content]
    if failed:
        raise UserError(f"failed: {', '.join(failed)}; the report says why. Rerun the same command to try again")


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
