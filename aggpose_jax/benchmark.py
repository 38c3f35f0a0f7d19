"""The program `aggpose benchmark`: measures how fast networks, training, films and data are on this machine."""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterable, Sequence

from aggpose_jax import cli, io
from aggpose_jax.benchmarks import data_pipeline, decoding, films, machine, masked, network, peers, training
from aggpose_jax.benchmarks.machine import Machine
from aggpose_jax.benchmarks.measurements import Measurement, table
from aggpose_jax.config import read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.inference.predictor import load
from aggpose_jax.training.reporting import table as table_of_metrics

BATCHES, RECORDS, MASKED_BATCH, MASKED = "1,8,64", 512, 8, "b2,b5"
Rows = list[dict[str, object]]


def parser() -> cli.Parser:
    """Returns the parser of this program; `run` in its result is the function of the verb."""
    parser = cli.Parser(
        cli.command("benchmark"),
        "Measures speed on this machine, beside its limits and beside other programs. Run it while nothing else runs.",
        ["model --config infant_l --compare torch,onnxruntime", "all --config synthetic --out speed.json"],
    )
    verb = _add(parser, "model", model, ["--config infant_l", "--config infant_l:s --batches 1,8 --compare torch"])
    _add_batches(verb)
    _add_compare(verb, peers.PEERS)
    verb.add_experiment("experiment with the network", required=True)

    verb = _add(
        parser, "train", train, ["--config synthetic", "--config infant_l:s --config.batch_size=4 --compare torch"]
    )
    _add_compare(verb, training.COMPARED)
    verb.add_experiment("experiment that is trained", required=True)

    _add_masked(_add(parser, "mae", mae, ["", "--networks b2 --batch 4"]))
    _add(parser, "decode", decode, ["", "--out speed.json"])
    _add(parser, "predict", predict, ["", "--checkpoint runs/infant_l"]).add_checkpoint(default=pretrained.NAME)

    verb = _add(parser, "data", data, ["--config synthetic", "--config infant_l --workers 0,2"])
    _add_data(verb)
    verb.add_experiment("experiment with the data", required=True)

    verb = _add(parser, "all", everything, ["--config synthetic", "--config infant_l --out speed.json"])
    _add_batches(verb)
    _add_compare(verb, peers.PEERS)
    _add_masked(verb)
    _add_data(verb)
    verb.add_experiment("experiment with the network and the data; films are predicted by the network of the package",
                        required=True)  # fmt: skip
    return parser


def _add(parser: cli.Parser, name: str, run: Callable, examples: Sequence[str]) -> cli.Parser:
    verb = parser.add_verb(name, run, examples)
    verb.add_argument("--out", type=cli.path, metavar="FILE", help="also write the measurements to a JSON file")
    return verb


def _add_batches(verb: cli.Parser) -> None:
    verb.add_argument(
        "--batches", type=_batches, default=BATCHES, metavar="N,…", help=f"numbers of crops of a call ({BATCHES})"
    )


def _batches(text: str) -> list[int]:
    return [cli.count(one) for one in text.split(",")]


def _add_compare(verb: cli.Parser, known: Iterable[str]) -> None:
    verb.add_argument(
        "--compare",
        type=lambda text: cli.names(text, "program", known),
        default=[],
        metavar="A,B,…",
        help=f"programs that run the same network with the same weights in turn with ours: {','.join(known)}",
    )


def _add_masked(verb: cli.Parser) -> None:
    verb.add_argument("--networks", default=MASKED, metavar="NAME,…", help=f"Mix Transformers to measure ({MASKED})")
    verb.add_argument(
        "--batch", type=cli.count, default=MASKED_BATCH, metavar="N", help=f"images in a masked step ({MASKED_BATCH})"
    )


def _add_data(verb: cli.Parser) -> None:
    verb.add_argument(
        "--records", type=cli.count, default=RECORDS, metavar="N", help=f"records of each measurement ({RECORDS})"
    )
    verb.add_argument(
        "--workers", type=cli.counts, default=[0], metavar="N,…", help="numbers of worker processes to measure (0)"
    )


def model(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures the forward pass of a network, and crops to keypoints."""
    config = read_experiment(arguments.config, arguments.overrides)
    return _show(network.measure(config, arguments.batches, arguments.compare), limits)


def train(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures the training step of an experiment."""
    config = read_experiment(arguments.config, arguments.overrides)
    return _show(training.measure(config, arguments.compare), limits)


def mae(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures a training step of masked pretraining beside a full encode."""
    return _show(masked.measure(arguments.networks.split(","), arguments.batch), limits)


def decode(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures the decoding of heatmaps and OKS-NMS beside plain loops."""
    return _show(decoding.measure(), limits)


def predict(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures a film of a synthetic infant from the file to the tables of keypoints."""
    return _show(films.measure(load(arguments.checkpoint, arguments.config, arguments.overrides)), limits)


def data(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures reading, decoding and warping, and the whole data pipeline of an experiment."""
    config = read_experiment(arguments.config, arguments.overrides)
    rows = data_pipeline.measure(config, arguments.records, arguments.workers)
    print(table_of_metrics(rows, data_pipeline.COLUMNS))
    return [{"name": name, **row} for name, row in rows.items()]


def everything(arguments: argparse.Namespace, limits: Machine) -> Rows:
    """Measures all of the above."""
    package = argparse.Namespace(checkpoint=pretrained.NAME, config=None, overrides=[])
    parts = [(part, arguments) for part in (model, train, mae, decode, data)]
    rows: Rows = []
    for part, given in [*parts, (predict, package)]:
        print(f"\n{part.__doc__}")
        rows += part(given, limits)
    return rows


def _show(measurements: Sequence[Measurement], limits: Machine) -> Rows:
    """Prints measurements as a table and returns them as JSON values."""
    print(table(measurements, limits))
    return [one.fields(limits) for one in measurements]


def main(arguments: argparse.Namespace) -> None:
    """Measures the limits of the machine, runs the verb of a command line and prints its tables."""
    logging.getLogger("absl").setLevel(logging.WARNING)
    limits = machine.measure()
    print(limits.describe())
    rows = arguments.run(arguments, limits)
    if arguments.out:
        content = {"machine": dataclasses.asdict(limits), "measurements": rows}
        try:
            io.write_json(arguments.out, content, indent=1)
        except OSError as error:
            raise UserError(f"{arguments.out}: cannot be written ({error.strerror}); give another --out") from None


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(parser, main, sys.argv[1:])
