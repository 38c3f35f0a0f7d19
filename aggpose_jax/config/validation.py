"""What is stated of a key, and the check of a value against it."""

import dataclasses
import re
from typing import Any

from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Key:
    """All that is known of a key. Numbers are 0 or more; the type is that of the default.

    Attributes:
      default: the value if nothing else is set.
      comment: what the value means.
      choices: the only values, if not empty.
      positive: 0 is no value.
      high: the largest value.
      length: of the tuple.
      regex: the tuple holds regular expressions.
      may_change: when a run is resumed. If another key changes, it is another experiment, for another workdir.
    """

    default: Any
    comment: str
    choices: tuple[str, ...] = ()
    positive: bool = False
    high: float | None = None
    length: int | None = None
    regex: bool = False
    may_change: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises a UserError for a value that makes no sense by itself."""
        try:
            if self.choices and value not in self.choices:
                raise UserError(f"{value!r} is unknown; known are {', '.join(self.choices)}")
            if self.length and len(value) != self.length:
                raise UserError(f"{value} is not {self.length} numbers; give {self.length}")
            for one in value if isinstance(value, tuple) else (value,):
                self._check_pattern(one) if self.regex else self._check_number(one)
        except UserError as error:
            raise UserError(f"{name}: {error} ({self.comment})") from None

    def _check_number(self, value: Any) -> None:
        if not isinstance(value, int | float):
            return
        if value < 0:
            raise UserError(f"{value} is negative; give {'more than 0' if self.positive else '0 or more'}")
        if value == 0 and self.positive:
            raise UserError("is 0; give more")
        if self.high is not None and value > self.high:
            raise UserError(f"{value} is more than {self.high}; give {self.high} or less")

    def _check_pattern(self, value: Any) -> None:
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise UserError(f"{value!r} is not a valid regular expression ({error}); correct it") from None
