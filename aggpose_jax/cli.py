"""How programs start, read their command line and end: a user's mistake is one line on standard error."""

import functools
import os
import re
import sys
from collections.abc import Callable

from absl import app, flags

from aggpose_jax.errors import UserError, reports_user_errors

# Every program that reads an experiment has these; here, since a process may import two programs and a flag is unique.
CONFIG = flags.DEFINE_string("config", None, "Experiment: FILE or FILE:ARGUMENT. It describes a weight file, too.")
OVERRIDES = flags.DEFINE_multi_string("set", [], "KEY=VALUE of the configuration; --config.KEY=VALUE says the same.")


def restart_with_huge_pages() -> None:
    """Starts the program again with huge pages for the memory of glibc, which reads the setting only at its start.

    On CPU a training step takes and returns gigabytes; small pages make that a quarter of its time.
    """
    # mallopt, which needs no restart, was tried with glibc 2.36. Large blocks of XLA's threads are mapped anew whatever
    # M_MMAP_MAX and M_TRIM_THRESHOLD say, unless M_ARENA_MAX is 1; then freed memory is kept, but in fragments: a step
    # of large arrays held two to three times as much memory (1.5 to 1.9 GB instead of 0.7).
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)


def run(main: Callable, *, words: bool = False) -> None:
    """Parses the flags and calls main with the rest: the name of the program and, if it takes words, these."""
    reports_user_errors(app.run)(main, flags_parser=functools.partial(_parse, words))


def _parse(words: bool, arguments: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS([re.sub(r"^--?config\.", "--set=", argument) for argument in arguments])
    except flags.Error as error:
        raise UserError(f"{str(error).rstrip(' .?')}; --help lists the flags") from None
    if rest[1:] and not words:
        raise UserError(f"{rest[1]}: is no flag; write --FLAG=VALUE or --config.KEY=VALUE")
    return rest
