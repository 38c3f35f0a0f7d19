"""The one exception of this package that is a message to the user rather than a defect."""

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake that the user can mend. Programs print it as one line on standard error and exit with 1.

    The message says what is wrong, where (file, key, id) and what to do.
    """


def reports_user_errors(main: Callable) -> Callable:
    """Makes a program's main end with one line and exit status 1 on a UserError; defects keep their traceback."""

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(1)

    return wrapped
