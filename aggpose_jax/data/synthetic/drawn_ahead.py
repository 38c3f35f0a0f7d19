"""Rendered infants that were drawn ahead into shards, so that training reads them in a millisecond.

A folder holds `manifest.json`, which says how its infants are drawn, and shards, ArrayRecord files of SHARD records.
A shard is written atomically; a run that was interrupted draws the missing ones. A record is the same as that of the
source with the same settings, `RenderedInfants` or `MixedInfants`, but for the losses of JPEG.
"""

import dataclasses
import functools
import json
import pathlib
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader
from tqdm import tqdm

from aggpose_jax import io
from aggpose_jax.data import shards
from aggpose_jax.data.images import encode_jpeg
from aggpose_jax.data.synthetic import coco_dict
from aggpose_jax.data.synthetic.infants import RenderedInfants
from aggpose_jax.data.synthetic.mixture import MixedInfants
from aggpose_jax.data.synthetic.staging import Variety
from aggpose_jax.data.worker_jobs import run_in_processes
from aggpose_jax.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SHARD = 500  # records of a shard
QUALITY = 95  # of the JPEG files
_MANIFEST = "manifest.json"
_LABELS = struct.Struct("<qd4f63f21?")  # id, area, box, keypoints, absent


@dataclasses.dataclass(frozen=True)
class Settings:
    """How infants are drawn: their number, and split, seed and variety of `RenderedInfants`.

    `drawn` is the period of the drawn infants of `MixedInfants`; 0 for rendered infants only.
    """

    count: int
    split: str
    seed: int
    variety: Variety
    drawn: int = 0

    def source(self) -> RenderedInfants | MixedInfants:
        """Returns the source that draws the infants."""
        if self.drawn:
            return MixedInfants(self.count, self.drawn, split=self.split, seed=self.seed, variety=self.variety)
        return RenderedInfants(self.count, split=self.split, seed=self.seed, variety=self.variety)

    def shards(self) -> int:
        """Returns the number of shards."""
        return -(-self.count // SHARD)


def draw_ahead(folder: pathlib.Path, settings: Settings, part: tuple[int, int] = (0, 1), processes: int = 1) -> None:
    """Draws the missing shards of a part (index, count) of a folder.

    Raises:
      UserError: the folder holds infants with other settings, the split is unknown, or a worker process was killed.
      OSError: a shard cannot be written, for example because the disk is full.
    """
    settings.source()
    claim_folder(folder, settings)
    missing = [i for i in range(settings.shards()) if not _path(folder, i).exists()]
    draw_missing(functools.partial(_draw_shard, folder, settings), missing, part, processes, "shard")


def draw_missing(
    draw: Callable[[int], None], missing: Sequence[int], part: tuple[int, int], processes: int, unit: str
) -> None:
    """Draws the missing files of a part, with a progress bar.

    Args:
      draw: draws the file of a number.
      missing: numbers of the files of all parts that are not there.
      part: (index, count) of the part; it has the numbers whose remainder by count is index.
      processes: number of processes that draw.
      unit: what a file is called in the progress bar.

    Raises:
      UserError: a worker process was killed.
      OSError: a file cannot be written.
    """
    index, count = part
    own = [number for number in missing if number % count == index]
    for _ in tqdm(run_in_processes(draw, own, processes), total=len(own), unit=unit):
        pass


def claim_folder(folder: pathlib.Path, settings: "DataclassInstance") -> None:
    """Writes the manifest of a folder that will be drawn, or compares the one that is there.

    Args:
      folder: new, or drawn in part.
      settings: all that determines what is drawn.

    Raises:
      UserError: the folder was drawn with other settings.
    """
    manifest, content = folder / _MANIFEST, dataclasses.asdict(settings)
    if not content.get("drawn", True):
        del content["drawn"]  # Manifests of rendered infants alone are those of earlier versions.
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        io.write_json(manifest, content)
    elif io.read_json(manifest) != content:
        raise UserError(f"{manifest}: was drawn with other settings; repeat them, or give another folder")


def _path(folder: pathlib.Path, shard: int) -> pathlib.Path:
    return folder / f"{shard:05}.array_record"


def _draw_shard(folder: pathlib.Path, settings: Settings, shard: int) -> None:
    source, path = settings.source(), _path(folder, shard)
    io.remove_leftovers(path)
    with io.atomic_path(path) as temporary:
        indices = range(shard * SHARD, min((shard + 1) * SHARD, settings.count))
        shards.write_packed((_pack(source[index]) for index in indices), temporary)


def _pack(record: dict) -> bytes:
    numbers = (*record["box"], *record["keypoints"].ravel(), *record["absent"])
    return _LABELS.pack(record["id"], record["area"], *numbers) + encode_jpeg(record["image"], QUALITY)


def _unpack(data: bytes) -> dict:
    record_id, area, *numbers = _LABELS.unpack_from(data)
    return {
        "image": data[_LABELS.size :],
        "box": np.array(numbers[:4], np.float32),
        "keypoints": np.array(numbers[4:67], np.float32).reshape(21, 3),
        "absent": np.array(numbers[67:], bool),
        "area": area,
        "image_id": record_id,
        "id": record_id,
    }


def _read_manifest(folder: pathlib.Path) -> Settings:
    file = folder / _MANIFEST
    try:
        content = json.loads(file.read_bytes())
        return Settings(**{**content, "variety": Variety(**content["variety"])})
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); draw the infants with prepare infants") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a manifest of infants ({error!r}); draw them again") from None


class StoredInfants:
    """A data source of the infants in a folder; `image` of a record is the bytes of a JPEG file.

    See `RenderedInfants` for the other items.
    """

    def __init__(self, folder: pathlib.Path):
        """Opens a folder.

        Raises:
          UserError: the folder is not complete.
        """
        self._folder, self._settings = folder, _read_manifest(folder)
        missing = [i for i in range(self._settings.shards()) if not _path(folder, i).exists()]
        if missing:
            raise UserError(
                f"{folder}: {len(missing)} of {self._settings.shards()} shards are missing, first"
                f" {_path(folder, missing[0]).name}; run prepare infants until it finishes"
            )

    def __len__(self) -> int:
        return self._settings.count

    def __getitem__(self, index: int) -> dict:
        shard, position = divmod(int(index), SHARD)
        file = _path(self._folder, shard)
        try:
            return _unpack(_reader(str(file)).read([position])[0])
        except (RuntimeError, ValueError, IndexError, struct.error) as error:
            raise UserError(f"{file} is damaged at record {position}; delete it and run prepare infants") from error

    def counts(self) -> dict[str, int]:
        """Returns the number of images."""
        return {"images": len(self)}

    def ground_truth(self) -> dict:
        """Returns images, annotations and categories in the COCO format; an empty frame has no annotation."""
        return coco_dict([self[i] for i in range(len(self))])


@functools.lru_cache(maxsize=512)  # Training reads in random order, and an open shard takes little memory.
def _reader(path: str) -> ArrayRecordReader:
    return shards.open_packed(path)
