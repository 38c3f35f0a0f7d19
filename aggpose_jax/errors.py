"""The one exception of this package that is a message to the user rather than a defect."""


class UserError(Exception):
    """A mistake that the user can mend. Programs print it as one line on standard error and exit with 1.

    The message says what is wrong, where (file, key, id) and what to do.
    """
