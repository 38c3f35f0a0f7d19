"""Images that cannot be read: training goes on without them, and says which they are."""

import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed

FILE = "corrupt_images.txt"  # of the first process; others number theirs


def watch(
    batches: Iterator[dict[str, np.ndarray]],
    source,
    most: float,
    workdir: pathlib.Path,
    say: Callable[[str], None] = print,
) -> Iterator[dict[str, np.ndarray]]:
    """Passes batches on, and names the images of examples that are not valid in WORKDIR/corrupt_images.txt.

    Of several processes each names those of its share, in a file of its own.

    Args:
      batches: with `valid` and `id` [B].
      source: whose `file_name(id)` says where the image of a record lies, and `fault(id)` what is wrong with it.
      most: share of the records of the source that may be corrupt.
      workdir: of the run; what an earlier start of it found counts too.
      say: takes a line whenever there are new ones.

    Raises:
      UserError: there are more.
    """
    process, _ = distributed.share()
    file = workdir / (FILE if process == 0 else f"corrupt_images_{process}.txt")
    found = {name for one in workdir.glob("corrupt_images*.txt") for name in one.read_text().splitlines()}
    for batch in batches:
        blank = batch["id"][batch["valid"] == 0].tolist()
        new = {source.file_name(number) for number in blank} - found
        if new:
            found |= new
            file.write_text("".join(f"{name}\n" for name in sorted(found)))
            count, fault = f"{len(found)} of {len(source)} training images cannot be read", source.fault(blank[-1])
            if len(found) > most * len(source):
                raise UserError(
                    f"{count}, more than the share most_corrupt = {most:g}: {fault}; all are named in {file}, which "
                    "counts until you delete it"
                )
            say(f"{count}, training goes on without: {fault}")
        yield batch
