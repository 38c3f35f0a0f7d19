"""Weight files: .safetensors, and PyTorch's .pth, which is read as tensors only and never runs code."""

import io
import pathlib
import re
import warnings
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from aggpose_jax.errors import UserError
from aggpose_jax.io import write_bytes

SUFFIXES = (".pth", ".safetensors")
WRAPPER = "state_dict"  # key below which training programs keep the weights
PREFIX = "module."  # of every name where the weights were taken from PyTorch's data-parallel wrapper
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
    """The tensors of a file by name, floating-point ones as float32.

    Raises:
      UserError: if the file is missing, damaged, holds anything but tensors, or needs PyTorch where there is none.
    """
    _check_suffix(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    if tensors and all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return {name: _single_precision(tensor) for name, tensor in tensors.items()}


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors in the format that the suffix says.

    Raises:
      UserError: if the suffix is another, the file cannot be written, or needs PyTorch where there is none.
    """
    _check_suffix(path)
    if path.suffix == ".safetensors":
        content = safetensors.numpy.save(dict(tensors))
    else:
        torch = _import_torch(path)
        buffer = io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}, buffer)
        content = buffer.getbuffer()
    write_whole(path, content)


def write_whole(path: pathlib.Path, content: bytes | memoryview) -> None:
    """Writes a file whole or not at all: what stood under the name before stays until all is on the disk.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); no such file was left behind") from None


def _check_suffix(path: pathlib.Path) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: a weight file ends in {' or '.join(SUFFIXES)}, which says its format")


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a safetensors file, or cut off ({error})") from None
    unknown = {entry["dtype"] for _, entry in entries} - SAFETENSORS_TYPES.keys()
    if unknown:
        raise UserError(f"{path}: holds numbers of type {', '.join(sorted(unknown))}; float32 and its halves are read")
    return {
        name: np.frombuffer(entry["data"], SAFETENSORS_TYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries
    }


def _read_pth(path: pathlib.Path) -> dict[str, np.ndarray]:
    torch = _import_torch(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # the error below says it in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many types for damaged files, and names none of them
        raise UserError(f"{path}: {_why_not_loaded(str(error))}") from None
    state = content.get(WRAPPER, content) if isinstance(content, Mapping) else None
    tensors = state if isinstance(state, Mapping) else {}
    if not tensors or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in tensors.items()):
        raise UserError(
            f"{path}: not a state dict, nor one below {WRAPPER!r}; save model.state_dict() and nothing else"
        )
    return {name: _numpy(torch, tensor) for name, tensor in tensors.items()}


def _numpy(torch, tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _why_not_loaded(error: str) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", error)
    if refused:
        return f"holds {refused[1]} besides tensors, which could run code and was not loaded; save a state dict alone"
    return "not a PyTorch file, or cut off"


def _import_torch(path: pathlib.Path):
    try:
        import torch
    except ImportError:
        raise UserError(f"{path}: .pth needs PyTorch (pip install torch); .safetensors needs none") from None
    return torch


def _single_precision(tensor: np.ndarray) -> np.ndarray:
    return tensor.astype(np.float32, copy=False) if jnp.issubdtype(tensor.dtype, jnp.floating) else tensor
