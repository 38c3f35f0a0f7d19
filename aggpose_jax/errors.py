"""UserError, the exception for mistakes of the user, and how a program reports it."""

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake that the user can fix. Programs print it as one line on standard error and exit with status 1.

    The message states what is wrong, where (file, key or id) and what to do.
    """


def reports_user_errors(main: Callable) -> Callable:
    """Wraps a program's main so that a UserError ends it with one line and exit status 1.

    Any other exception is a bug and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(1)

    return wrapped
