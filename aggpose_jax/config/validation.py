"""The definition of a configuration key, and the check of a value against it."""

import dataclasses
import re
from typing import Any

from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Key:
    """The definition of a configuration key. A value has the type of the default, and a number must not be negative.

    Attributes:
      default: the value that is used if none is set.
      comment: the meaning of the value, as a phrase that error messages can end with.
      choices: the allowed values; empty allows all.
      positive: whether a number must be greater than 0.
      high: the largest number that is allowed; None sets no limit.
      length: the required length of a tuple; None allows any length.
      regex: whether the elements of the tuple are regular expressions.
      may_change: whether the value may change when a run is resumed. A change of any other key makes another
        experiment, which needs another workdir.
    """

    default: Any
    comment: str
    choices: tuple[str, ...] | tuple[int, ...] = ()
    positive: bool = False
    high: float | None = None
    length: int | None = None
    regex: bool = False
    may_change: bool = False

    def check(self, name: str, value: Any) -> None:
        """Checks a value of the right type against this definition.

        Args:
          name: the dotted name of the key, for the message.
          value: the value to check.

        Raises:
          UserError: the value is not allowed.
        """
        try:
            if self.choices and value not in self.choices:
                raise UserError(
                    f"{value!r} is not allowed; choose from {', '.join(filter(None, map(str, self.choices)))}"
                )
            if self.length and len(value) != self.length:
                raise UserError(f"{value} does not have {self.length} elements; set it to {self.length} numbers")
            for element in value if isinstance(value, tuple) else (value,):
                self._check_pattern(element) if self.regex else self._check_number(element)
        except UserError as error:
            raise UserError(f"{name}: {error} ({self.comment})") from None

    def _check_number(self, value: Any) -> None:
        if not isinstance(value, int | float):
            return
        if value < 0:
            raise UserError(f"{value} is negative; set it to {'more than 0' if self.positive else '0 or more'}")
        if value == 0 and self.positive:
            raise UserError("0 is not allowed; set it to more than 0")
        if self.high is not None and value > self.high:
            raise UserError(f"{value} is greater than {self.high}; set it to {self.high} or less")

    def _check_pattern(self, value: Any) -> None:
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise UserError(f"{value!r} is not a valid regular expression ({error}); correct the pattern") from None
