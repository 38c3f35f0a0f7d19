"""Reading and writing of weight files: .safetensors and PyTorch's .pth. Code in .pth files is never executed."""

import io
import pathlib
import re
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from aggpose_jax.errors import UserError
from aggpose_jax.io import write_bytes

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pth", ".safetensors")
WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys under which training programs store the state dict
SAFETENSORS_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I8": np.int8,
    "U8": np.uint8,
}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a file by name, floating-point ones as float32.

    Raises:
      UserError: the file is missing or damaged, contains more than tensors, or needs PyTorch, which is not installed.
    """
    _check_suffix(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    return {name: _single_precision(tensor) for name, tensor in tensors.items()}


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors in the format of the file's suffix, .safetensors or .pth.

    Raises:
      UserError: the suffix is another one, the file cannot be written, or it needs PyTorch, which is not installed.
    """
    _check_suffix(path)
    if path.suffix == ".safetensors":
        content: bytes | memoryview = safetensors.numpy.save(dict(tensors))
    else:
        torch = _import_torch(path)
        buffer = io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}, buffer)
        content = buffer.getbuffer()
    write_atomically(path, content)


def write_atomically(path: pathlib.Path, content: bytes | memoryview) -> None:
    """Writes a file completely or not at all: an earlier file of this name stays until all content is on the disk.

    Raises:
      UserError: the file cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(
            f"{path}: cannot write ({error.strerror}). Any earlier file of this name is intact. Free some space or "
            "give another path."
        ) from None


def _check_suffix(path: pathlib.Path) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: unknown format; the name of a weight file must end in {' or '.join(SUFFIXES)}")


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a safetensors file, or truncated ({error}); copy it again") from None
    unknown = {entry["dtype"] for _, entry in entries} - SAFETENSORS_TYPES.keys()
    if unknown:
        raise UserError(
            f"{path}: contains unsupported types {', '.join(sorted(unknown))}; save the tensors as float32, float16 or "
            "bfloat16"
        )
    return {
        name: np.frombuffer(entry["data"], SAFETENSORS_TYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries
    }


def _read_pth(path: pathlib.Path) -> dict[str, np.ndarray]:
    torch = _import_torch(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # The error below is reported in one line.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch does not document which types it raises for damaged files.
        raise UserError(f"{path}: {_reason_not_loaded(str(error))}") from None
    found = [key for key in WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)]
    state = content[found[0]] if len(found) == 1 else content
    tensors = state if isinstance(state, Mapping) else {}
    if not tensors or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in tensors.items()):
        raise UserError(
            f"{path}: no state dict at the top level or under one of the keys {', '.join(WRAPPERS)}; save only "
            "model.state_dict()"
        )
    return {name: _numpy(torch, tensor) for name, tensor in tensors.items()}


def _numpy(torch: ModuleType, tensor: "torch.Tensor") -> np.ndarray:
    tensor = tensor.detach()
    array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _reason_not_loaded(error: str) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", error)
    if refused:
        return f"not loaded, because it contains {refused[1]}, which could run code; save only model.state_dict()"
    return "not a PyTorch file, or truncated; copy it again"


def _import_torch(path: pathlib.Path) -> ModuleType:
    try:
        import torch
    except ImportError:
        raise UserError(f"{path}: .pth files require PyTorch (pip install torch); .safetensors files do not") from None
    module: ModuleType = torch
    return module


def _single_precision(tensor: np.ndarray) -> np.ndarray:
    return tensor.astype(np.float32, copy=False) if jnp.issubdtype(tensor.dtype, jnp.floating) else tensor
