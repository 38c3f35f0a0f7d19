"""Training continues without images that cannot be read, and lists them."""

import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed

FILE = "corrupt_images.txt"  # of process 0; the others number theirs


def listed(
    batches: Iterator[dict[str, np.ndarray]],
    source,
    limit: float,
    workdir: pathlib.Path,
    log: Callable[[str], None] = print,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches unchanged and lists the images of invalid examples in WORKDIR/corrupt_images.txt.

    With several processes each lists those of its part of the batch, in a file of its own.

    Args:
      batches: with `valid` and `id` [B].
      source: its `file_name(id)` is the path of the image of a record, `fault(id)` what is wrong with it.
      limit: fraction of the records of the source that may be unreadable.
      workdir: of the run; images listed there before count too.
      log: called with one line whenever there are new ones.

    Raises:
      UserError: more than the limit are unreadable.
    """
    process, _ = distributed.share()
    file = workdir / (FILE if process == 0 else f"corrupt_images_{process}.txt")
    found = {name for one in workdir.glob("corrupt_images*.txt") for name in one.read_text().splitlines()}
    for batch in batches:
        invalid = batch["id"][batch["valid"] == 0].tolist()
        new = {source.file_name(number) for number in invalid} - found
        if new:
            found |= new
            io.write_text(file, "".join(f"{name}\n" for name in sorted(found)))
            count, fault = f"{len(found)} of {len(source)} training images cannot be read", source.fault(invalid[-1])
            if len(found) > limit * len(source):
                raise UserError(
                    f"{count}, more than the fraction most_corrupt = {limit:g}: {fault}; all are listed in {file}, "
                    "which counts until you delete it"
                )
            log(f"{count}, training continues without: {fault}")
        yield batch
