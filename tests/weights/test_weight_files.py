"""Tests of weight files: which files are read, which are rejected, and that writes are atomic."""

import os
import pathlib
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from disks import full_disk
from trees import blank_variables

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import read_state_dict, write_state_dict

TINY = [name for name in networks.NAMES if name.endswith("_tiny")]
FORMATS = [pytest.param(".pth", marks=pytest.mark.extras), ".safetensors"]


@pytest.fixture
def suffix(request):
    """A suffix to test; the test is skipped for PyTorch's suffix if PyTorch is not installed."""
    if request.param == ".pth":
        request.getfixturevalue("torch")
    return request.param


def random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Returns finite float32 numbers of random bits."""
    return (rng.integers(0, 2**32, shape, np.uint32) & np.uint32(0xFF7FFFFF)).view(np.float32)


def some_tensors() -> dict[str, np.ndarray]:
    return {
        "a.weight": random_bits(np.random.default_rng(0), (5, 7)),
        "a.bias": np.array([1.5, -0.0], np.float32),
        "scalar": np.array(3.0, "f4"),
    }


def assert_same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        assert actual[name].shape == tensor.shape
        assert actual[name].tobytes() == tensor.tobytes()


class RunsCode:
    """An object whose unpickling runs code: it creates a folder."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_written_tensors_are_read_bit_for_bit(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    weight_files.write(path, some_tensors())
    assert_same(weight_files.read(path), some_tensors())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("name", ["aggpose_l", *(name for name in TINY if name != "mae_tiny")])
def test_every_network_survives_a_round_trip_through_pytorch_files(name, torch, tmp_path):
    """Converts random finite bits from JAX to PyTorch to JAX, and from PyTorch to JAX to PyTorch."""
    model, rng = networks.build(name, keypoints=17), np.random.default_rng(0)
    tensors = {
        key: tensor if tensor.dtype.kind != "f" or key.endswith("pos_embedding") else random_bits(rng, tensor.shape)
        for key, tensor in write_state_dict(model, blank_variables(name)).items()
    }
    torch.save({key: torch.from_numpy(tensor) for key, tensor in tensors.items()}, tmp_path / "given.pth")
    parameters = read_state_dict(weight_files.read(tmp_path / "given.pth")).variables
    weight_files.write(tmp_path / "written.pth", write_state_dict(model, parameters))
    again = torch.load(tmp_path / "written.pth", weights_only=True)
    assert_same({key: tensor.numpy() for key, tensor in again.items()}, tensors)
    again = read_state_dict(weight_files.read(tmp_path / "written.pth")).variables
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32)), again, parameters)


def test_safetensors_of_half_precision_are_read(tmp_path):
    values = np.array([1.0, -2.5, 0.00390625])  # exact in float16 and bfloat16
    for dtype in (np.float16, jnp.bfloat16):
        safetensors.numpy.save_file({"a": values.astype(dtype)}, tmp_path / "half.safetensors")
        assert_same(weight_files.read(tmp_path / "half.safetensors"), {"a": values.astype(np.float32)})


@pytest.mark.extras
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "float32"])
@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_pytorch_checkpoints_are_read_in_any_precision(dtype, key, torch, tmp_path):
    tensor = torch.tensor([[1.0, -2.5], [0.5, 3.0]], dtype=getattr(torch, dtype)).T  # not contiguous
    state = {"a": torch.nn.Parameter(tensor), "steps": torch.tensor(7)}
    torch.save({"epoch": 3, key: state, "optimizer": {"lr": 0.1}}, tmp_path / "wrapped.pth")
    found = weight_files.read(tmp_path / "wrapped.pth")
    assert found.pop("steps") == 7
    assert_same(found, {"a": np.array([[1.0, 0.5], [-2.5, 3.0]], np.float32)})


def test_unknown_suffixes_and_missing_files_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"weights\.npz: .*\.pth or \.safetensors"):
        weight_files.read(tmp_path / "weights.npz")
    with pytest.raises(UserError, match=r"weights\.npz: .*\.pth or \.safetensors"):
        weight_files.write(tmp_path / "weights.npz", {})
    with pytest.raises(UserError, match=r"gone\.pth: no such file"):
        weight_files.read(tmp_path / "gone.pth")


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_truncated_files_and_files_of_other_formats_are_errors(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    weight_files.write(path, some_tensors())
    full = path.read_bytes()
    for content in (full[: len(full) // 2], full[:-1], b"", b"PK\x03\x04", b"hello, this is no checkpoint\n" * 9):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"weights\S+: .*(safetensors|PyTorch) file, or truncated") as raised:
            weight_files.read(path)
        assert "\n" not in str(raised.value)


@pytest.mark.extras
@pytest.mark.filterwarnings("error")
def test_code_in_a_pickle_is_not_run(torch, tmp_path):
    created, path = tmp_path / "created", tmp_path / "weights.pth"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "extra": RunsCode(created)}, path)
    with pytest.raises(UserError, match=r"weights\.pth: .*posix\.mkdir"):
        weight_files.read(path)
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps({"a": RunsCode(created)}, protocol=protocol))
        with pytest.raises(UserError):
            weight_files.read(path)
    assert not created.exists()
    pickle.loads(path.read_bytes())
    assert created.exists()  # Plain unpickling does run the code.


@pytest.mark.extras
@pytest.mark.parametrize(
    "content", [{}, {"epoch": 3}, {"a": "text"}, [1, 2], {"state_dict": {"a": 1}}, {"state_dict": 3}]
)
def test_pytorch_files_without_a_state_dict_are_errors(content, torch, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: .*state_dict, model, model_state_dict"):
        weight_files.read(tmp_path / "weights.pth")


def test_safetensors_work_without_pytorch_and_pth_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    weight_files.write(tmp_path / "w.safetensors", some_tensors())
    assert_same(weight_files.read(tmp_path / "w.safetensors"), some_tensors())
    (tmp_path / "w.pth").touch()
    with pytest.raises(UserError, match=r"w\.pth: .*pip install torch"):
        weight_files.read(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_a_full_disk_leaves_an_earlier_file_intact(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    too_much = {"a": np.zeros(5000, np.float32)}
    with full_disk(4000), pytest.raises(UserError, match=r"weights\S+: cannot write"):
        weight_files.write(path, too_much)
    assert not list(tmp_path.iterdir())
    weight_files.write(path, some_tensors())
    with full_disk(4000), pytest.raises(UserError):
        weight_files.write(path, too_much)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert_same(weight_files.read(path), some_tensors())
