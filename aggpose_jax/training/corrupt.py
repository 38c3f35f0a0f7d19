"""Images that cannot be read: training goes on without them, and says which they are."""

import pathlib
from collections.abc import Iterator

import numpy as np

from aggpose_jax.errors import UserError

FILE = "corrupt_images.txt"


def watch(
    batches: Iterator[dict[str, np.ndarray]], source, most: float, workdir: pathlib.Path
) -> Iterator[dict[str, np.ndarray]]:
    """Passes batches on, and names the images of examples that are not valid in WORKDIR/corrupt_images.txt.

    Args:
      batches: with `valid` and `id` [B].
      source: whose `file_name(id)` says where the image of a record lies.
      most: share of the records of the source that may be corrupt.
      workdir: of the run; what an earlier start of it found counts too.

    Raises:
      UserError: there are more.
    """
    file = workdir / FILE
    found = set(file.read_text().splitlines()) if file.exists() else set()
    for batch in batches:
        new = {source.file_name(int(number)) for number in batch["id"][batch["valid"] == 0]} - found
        if new:
            found |= new
            file.write_text("".join(f"{name}\n" for name in sorted(found)))
            if len(found) > most * len(source):
                raise UserError(
                    f"{len(found)} images cannot be read, more than the share most_corrupt = {most:g} of "
                    f"{len(source)}; they are named in {file}"
                )
        yield batch
