"""The command line: `aggpose VERB …`, and the same programs as `python -m aggpose_jax.MODULE …`.

A program is a module with two functions: `parser()` returns its `Parser`, and `main(arguments)` does the work. Usage
errors are one line on standard error and exit status 2; everything else that the user can correct is a `UserError`, one
line and exit status 1.
"""

import argparse
import difflib
import importlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import aggpose_jax
from aggpose_jax.errors import UserError, reports_user_errors

PROGRAMS = {  # verb: module, and what it does
    "train": ("main", "train a pose network or a masked autoencoder"),
    "evaluate": ("evaluate", "score a run, a weight file or results, also of OpenPose: AP, AR, OKS, PCK"),
    "predict": ("predict", "find keypoints in videos and images"),
    "series": ("series", "clean the keypoints of films that predict has found"),
    "adapt": ("adapt", "train a network further on its own predictions of unlabelled films"),
    "calibrate": ("calibrate", "measure on films with known keypoints what the scores of a network are worth"),
    "export": ("export", "write predicted keypoints in other file formats: movement, NWB, DeepLabCut, OpenPose, COCO"),
    "convert": ("convert", "convert weights from and to PyTorch, ONNX and StableHLO"),
    "prepare": ("prepare", "prepare data sets: synthetic infants, splits, audits, labels of other tools, frames"),
    "benchmark": ("benchmark", "measure how fast networks, training, films and data are on this machine"),
}
WITH_HUGE_PAGES = ("train", "adapt", "benchmark")
OVERRIDE = "--config."
_SET = "--set"  # hidden option that stands for --config.KEY=VALUE, because argparse needs fixed option names


class Parser(argparse.ArgumentParser):
    """A parser whose help shows examples, and whose errors are one line.

    Args:
      prog: how the program is started, see `command`.
      description: what the program does.
      examples: arguments of typical calls.
    """

    def __init__(self, prog: str, description: str, examples: Sequence[str] = ()):
        super().__init__(
            prog=prog,
            description=description,
            epilog="\n".join(["examples:", *(f"  {prog} {example}" for example in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"aggpose_jax {aggpose_jax.__version__}")
        self.verbs: dict[str, Parser] = {}

    def add_verb(self, name: str, run: Callable, examples: Sequence[str]) -> "Parser":
        """Adds a verb, which the docstring of its function `run` describes. The arguments get an attribute `run`."""
        if not self.verbs:
            self._subparsers_action = self.add_subparsers(title="verbs", metavar="VERB", required=True)
        parser = self._subparsers_action.add_parser(name, help=run.__doc__, description=run.__doc__, examples=examples)
        parser.set_defaults(run=run, parser=parser)
        self.verbs[name] = parser
        return parser

    def add_experiment(self, help: str, required: bool = False) -> None:
        """Adds --config and --config.KEY=VALUE, which become `config` and `overrides`."""
        group = self.add_argument_group(
            "experiment",
            "--config.KEY=VALUE changes a key of the configuration; aggpose_jax/config/schema.py lists all keys.",
        )
        group.add_argument("--config", metavar="EXPERIMENT", required=required, help=help)
        group.add_argument(_SET, dest="overrides", action="append", default=[], help=argparse.SUPPRESS)

    def add_checkpoint(self, default: str | None = None) -> None:
        """Adds what names a trained network: --checkpoint, --config and --config.KEY=VALUE.

        Args:
          default: network that is used without --checkpoint; None makes that option required.
        """
        used = f" ({default})" if default else ""
        _add_checkpoint(self.add_argument_group("network"), used, required=default is None, default=default)
        self.add_experiment("experiment with the network of a weight file; a run has its own configuration")

    def add_checkpoint_or_results(self) -> None:
        """Adds --checkpoint, --results and --compare, exactly one of which must be given, --config and overrides."""
        group = self.add_argument_group("network or results").add_mutually_exclusive_group(required=True)
        _add_checkpoint(group)
        group.add_argument(
            "--results", type=path, metavar="PATH",
            help="instead of a network: COCO results (JSON) or a folder of OpenPose files, with --config or --truth",
        )  # fmt: skip
        group.add_argument(
            "--compare", type=path, nargs="+", metavar="PATH",
            help="results of several systems, or folders of their evaluations: prints a table with a row for each",
        )  # fmt: skip
        self.add_experiment(
            "experiment with the network of a weight file or the data set of results; a run has its own configuration"
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses a command line; positional arguments and options may alternate.

        Exits with status 2 and one line for an unknown verb, option or argument, or a --config.KEY without a value.
        """
        for argument in argv:
            if argument.startswith(OVERRIDE) and "=" not in argument:
                self.error(f"{argument} has no value; write {argument}=VALUE")
        if self.verbs and argv and not argv[0].startswith("-") and argv[0] not in self.verbs:
            self.error(unknown("verb", argv[0], self.verbs))
        argv = [f"{_SET}={one.removeprefix(OVERRIDE)}" if one.startswith(OVERRIDE) else one for one in argv]
        parse = self.parse_known_args if self.verbs else self.parse_known_intermixed_args
        arguments, rest = parse(argv)
        if rest:
            argument = rest[0].replace(f"{_SET}=", OVERRIDE, 1)
            if not argument.startswith("-"):
                self.error(f"unexpected argument {argument!r}")
            options = getattr(arguments, "parser", self)._option_string_actions  # argparse has no public list of them
            self.error(unknown("option", argument.partition("=")[0], options.keys() - {_SET}))
        return arguments

    def error(self, message: str) -> NoReturn:
        """Ends the program with a usage error: one line on standard error and exit status 2."""
        self.exit(2, f"error: {message}; {self.prog} --help lists what there is\n")


def _add_checkpoint(group: argparse._ActionsContainer, used: str = "", **settings) -> None:
    group.add_argument(
        "--checkpoint", type=path, metavar="RUN", **settings,
        help=f"folder of a run, a weight file with --config, or pretrained: the weights of this package{used}",
    )  # fmt: skip


def path(text: str) -> pathlib.Path:
    """Returns the path of an option, in which a leading ~ stands for the home folder."""
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:  # There is no such user.
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def count(text: str, minimum: int = 1) -> int:
    """Returns the integer of an option, which must be at least the minimum."""
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {minimum}")
    return int(text)


def counts(text: str) -> list[int]:
    """Returns the integers, at least 0, of an option such as 0,2."""
    return [count(one, minimum=0) for one in text.split(",")]


def part(text: str) -> tuple[int, int]:
    """Returns the part of a job that an option such as 0/4 selects: its index, from 0, and the number of parts."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with I from 0 to N - 1")
    return int(index), int(count)


def names(text: str, kind: str, known: Iterable[str]) -> list[str]:
    """Returns the names of an option such as csv,coco, each of which must be a known name of its kind."""
    for name in (given := text.split(",")):
        if name not in known:
            raise argparse.ArgumentTypeError(f"unknown {kind} {name}; known are {', '.join(known)}")
    return given


def command(verb: str) -> str:
    """Returns how a program is started: "aggpose VERB", or "python -m aggpose_jax.MODULE" if this process was."""
    if pathlib.PurePath(sys.argv[0]).stem == "aggpose":
        return f"aggpose {verb}"
    return f"python -m aggpose_jax.{PROGRAMS[verb][0]}"


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Returns an error message for an unknown word of a kind, such as "verb"; it names the most similar known word."""
    nearest = difflib.get_close_matches(word, sorted(known), 1)
    return f"unknown {kind} {word}" + (f"; the nearest is {nearest[0]}" if nearest else "")


def restart_with_huge_pages() -> None:
    """Starts the program again with huge pages for the memory of glibc, which reads the setting only at its start.

    On CPU a training step allocates and frees gigabytes; with small pages that takes a quarter of its time.
    """
    # mallopt needs no restart and was tried with glibc 2.36: large blocks of XLA's threads are mapped anew whatever
    # M_MMAP_MAX and M_TRIM_THRESHOLD are, unless M_ARENA_MAX is 1; then freed memory is retained, but in fragments, and
    # a step of large arrays held two to three times as much memory (1.5 to 1.9 GB instead of 0.7).
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)


@reports_user_errors
def run(parser: Callable[[], Parser], main: Callable[[argparse.Namespace], None], argv: Sequence[str]) -> None:
    """Runs a program: `parser` parses the arguments `argv` of its command line, and `main` does the work.

    Raises:
      UserError: a pipe of the output was closed, as by `head`.
    """
    try:
        main(parser().parse(argv))
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Python flushes standard output again when it exits, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError("the output cannot be written any more, because its reader has ended") from error


def main() -> None:
    """Runs the command `aggpose VERB …`: starts the program of the verb, or prints help."""
    verb, *rest = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help"):
        width = max(map(len, PROGRAMS)) + 2
        lines = [f"  {name:<{width}}{summary}" for name, (_, summary) in PROGRAMS.items()]
        print("usage: aggpose VERB …\n\nInfant pose estimation with AggPose in JAX.\n\nverbs:\n" + "\n".join(lines))
        print("\nexamples:\n  aggpose train --config synthetic\n  aggpose predict --help")
    elif verb == "--version":
        print(f"aggpose_jax {aggpose_jax.__version__}")
    elif verb not in PROGRAMS:
        print(f"error: {unknown('verb', verb, PROGRAMS)}; aggpose --help lists all", file=sys.stderr)
        sys.exit(2)
    else:
        if verb in WITH_HUGE_PAGES:
            restart_with_huge_pages()
        program = importlib.import_module(f"aggpose_jax.{PROGRAMS[verb][0]}")
        run(program.parser, program.main, rest)
