"""Lists the images that cannot be read; training continues without them, up to a limit. Counts those it rotates."""

import pathlib
from collections.abc import Callable, Generator, Iterator

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed

FILE = "corrupt_images.txt"  # list of unreadable images of process 0; other processes add their index to the name


def list_unreadable(
    batches: Iterator[dict[str, np.ndarray]],
    source,
    limit: float,
    workdir: pathlib.Path,
    log: Callable[[str], None] = print,
) -> Generator[dict[str, np.ndarray], None, None]:
    """Yields the batches unchanged and lists the images of invalid examples in WORKDIR/corrupt_images.txt.

    If there are several processes, each lists the images of its part of the batch in a separate file. When the iterator
    is closed, the number of images that were rotated by their EXIF orientation is logged.

    Args:
      batches: batches with the arrays `valid` and `id` [B], and, of images with annotations, `reoriented` and
        `image_id` [B].
      source: training records; `file_name(id)` is the path of the image of a record, `fault(id)` describes its fault.
      limit: largest fraction of the records of the source that may be unreadable.
      workdir: folder of the run; images that are already listed in its files count too.
      log: called with one line whenever further images are found.

    Raises:
      UserError: the fraction of unreadable images is above the limit.
    """
    process, _ = distributed.process_shard()
    file = workdir / (FILE if process == 0 else f"corrupt_images_{process}.txt")
    found = {name for path in workdir.glob("corrupt_images*.txt") for name in path.read_text().splitlines()}
    rotated: set[int] = set()
    try:
        for batch in batches:
            if "reoriented" in batch:
                rotated.update(batch["image_id"][batch["reoriented"] > 0].tolist())
            invalid = batch["id"][batch["valid"] == 0].tolist()
            new = {source.file_name(number) for number in invalid} - found
            if new:
                found |= new
                io.write_text(file, "".join(f"{name}\n" for name in sorted(found)))
                count = f"{len(found)} of {len(source)} training images cannot be read"
                fault = source.fault(invalid[-1])
                if len(found) > limit * len(source):
                    raise UserError(
                        f"{count}, above the limit most_corrupt = {limit:g}. They are listed in {file}, whose entries "
                        f"count until you delete it. The last one: {fault}"
                    )
                log(f"{count}; training continues without them. The last one: {fault}")
            yield batch
    finally:
        if rotated:
            log(f"{len(rotated)} training images were rotated by their EXIF orientation, as their annotations state")
