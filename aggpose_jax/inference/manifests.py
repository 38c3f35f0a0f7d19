"""The manifests in the folder of a batch job: its settings, and which sources are done or have failed.

A job has one manifest, `manifest.json`. If several machines share the job, each writes one of its own for its part,
such as `manifest_0_of_4.json`; they are read as one.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable

from aggpose_jax import io
from aggpose_jax.data import folders
from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Part:
    """The part of a job that a machine does: every `count`-th source, from `index` on, counted from 0."""

    index: int = 0
    count: int = 1

    @property
    def suffix(self) -> str:
        """Returns what distinguishes the files of this part from those of others; "" if it is the whole job."""
        return f"_{self.index}_of_{self.count}" if self.count > 1 else ""

    @property
    def manifest(self) -> str:
        """Returns the file name of the manifest of this part."""
        return f"manifest{self.suffix}.json"


WHOLE = Part()


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of a manifest.

    Attributes:
      settings: everything that influences the results, as JSON values.
      done: files and counts of each source with complete results, by its name.
      failed: error messages of each source that failed, by its name.
    """

    settings: dict
    done: dict[str, dict]
    failed: dict[str, list[str]]

    def write(self, path: pathlib.Path) -> None:
        """Writes the manifest to a file."""
        io.write_json(path, dataclasses.asdict(self))


def find(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the paths of the manifests in a folder."""
    return sorted(path for path in folder.glob(folders.MANIFESTS) if path.is_file())


def read(path: pathlib.Path) -> Manifest:
    """Reads a manifest.

    Raises:
      UserError: the file is not a manifest.
    """
    try:
        content = json.loads(path.read_bytes())
        return Manifest(**{key: dict(content[key]) for key in ("settings", "done", "failed")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as the manifest of a job ({error}); choose another folder") from error


def merge(manifests: Iterable[Manifest]) -> Manifest:
    """Returns the manifest of a job from those of its parts.

    A source that was given to another part by a later command, because there were more videos then, is done if one of
    them has done it.
    """
    settings: dict = {}
    done: dict[str, dict] = {}
    failed: dict[str, list[str]] = {}
    for one in manifests:
        settings = settings or one.settings
        done |= one.done
        failed |= one.failed
    return Manifest(settings, done, {name: errors for name, errors in failed.items() if name not in done})
