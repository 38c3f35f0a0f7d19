"""How programs read their command line and end: a user's mistake is one line on standard error."""

import functools
import re
from collections.abc import Callable

from absl import app, flags

from aggpose_jax.errors import UserError, reports_user_errors

OVERRIDES = flags.DEFINE_multi_string("set", [], "KEY=VALUE of the configuration; --config.KEY=VALUE says the same.")


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
