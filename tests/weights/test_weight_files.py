"""Weight files: what is read, what is refused, and that a write is whole or nothing."""

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

FORMATS = [pytest.param(".pth", marks=pytest.mark.extras), ".safetensors"]


@pytest.fixture
def suffix(request):
    """A suffix to test; that of PyTorch only where there is PyTorch."""
    if request.param == ".pth":
        request.getfixturevalue("torch")
    return request.param


def random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """float32 of any bits, but finite."""
    return (rng.integers(0, 2**32, shape, np.uint32) & np.uint32(0xFF7FFFFF)).view(np.float32)


def some_tensors() -> dict[str, np.ndarray]:
    return {
        "a.weight": random_bits(np.random.default_rng(0), (5, 7)),
        "a.bias": np.array([1.5, -0.0], np.float32),
        "scalar": np.array(3.0, "f4"),
    }


def assert_same(ours: dict, expected: dict) -> None:
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert ours[name].dtype == tensor.dtype
        assert ours[name].shape == tensor.shape
        assert ours[name].tobytes() == tensor.tobytes()


class RunsCode:
    """What a pickle may hold: reading it creates a file."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_what_is_written_is_read_bit_for_bit(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    weight_files.write(path, some_tensors())
    assert_same(weight_files.read(path), some_tensors())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in networks.NAMES if not name.startswith("mae_")])
def test_every_network_survives_a_file_of_pytorch(name, torch, tmp_path):
    """jax → torch → jax and torch → jax → torch, of random finite bits."""
    model, rng = networks.build(name, keypoints=17), np.random.default_rng(0)
    tensors = {
        key: random_bits(rng, tensor.shape) if tensor.dtype.kind == "f" else tensor
        for key, tensor in write_state_dict(model, blank_variables(name)).items()
    }
    torch.save({key: torch.from_numpy(tensor) for key, tensor in tensors.items()}, tmp_path / "theirs.pth")
    parameters = read_state_dict(weight_files.read(tmp_path / "theirs.pth")).variables
    weight_files.write(tmp_path / "ours.pth", write_state_dict(model, parameters))
    again = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert_same({key: tensor.numpy() for key, tensor in again.items()}, tensors)
    again = read_state_dict(weight_files.read(tmp_path / "ours.pth")).variables
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32)), again, parameters)


def test_safetensors_of_half_precision_below_a_prefix(tmp_path):
    values = np.array([1.0, -2.5, 0.00390625])  # exact in both halves
    for number in (np.float16, jnp.bfloat16):
        safetensors.numpy.save_file({"module.a": values.astype(number)}, tmp_path / "half.safetensors")
        assert_same(weight_files.read(tmp_path / "half.safetensors"), {"a": values.astype(np.float32)})


@pytest.mark.extras
@pytest.mark.parametrize("number", ["float16", "bfloat16", "float64", "float32"])
def test_pytorch_files_wrapped_prefixed_and_of_any_precision(number, torch, tmp_path):
    tensor = torch.tensor([[1.0, -2.5], [0.5, 3.0]], dtype=getattr(torch, number)).T  # not contiguous
    state = {"module.a": torch.nn.Parameter(tensor), "module.steps": torch.tensor(7)}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "wrapped.pth")
    found = weight_files.read(tmp_path / "wrapped.pth")
    assert found.pop("steps") == 7
    assert_same(found, {"a": np.array([[1.0, 0.5], [-2.5, 3.0]], np.float32)})


def test_a_prefix_of_some_names_is_part_of_them(tmp_path):
    tensors = {"module.a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}
    weight_files.write(tmp_path / "w.safetensors", tensors)
    assert weight_files.read(tmp_path / "w.safetensors").keys() == tensors.keys()


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"weights\.npz: a weight file ends in \.pth or \.safetensors"):
        weight_files.read(tmp_path / "weights.npz")
    with pytest.raises(UserError, match=r"weights\.npz: a weight file ends in"):
        weight_files.write(tmp_path / "weights.npz", {})
    with pytest.raises(UserError, match=r"gone\.pth: no such file"):
        weight_files.read(tmp_path / "gone.pth")


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_truncated_and_foreign_files(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    weight_files.write(path, some_tensors())
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1], b"", b"PK\x03\x04", b"hello, this is no checkpoint\n" * 9):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"weights\S+: not a (safetensors|PyTorch) file, or cut off") as raised:
            weight_files.read(path)
        assert "\n" not in str(raised.value)


@pytest.mark.extras
@pytest.mark.filterwarnings("error")
def test_a_pickle_that_would_run_code_does_not(torch, tmp_path):
    planted, path = tmp_path / "planted", tmp_path / "weights.pth"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "extra": RunsCode(planted)}, path)
    with pytest.raises(UserError, match=r"holds posix\.mkdir besides tensors, which could run code and was not loaded"):
        weight_files.read(path)
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps({"a": RunsCode(planted)}, protocol=protocol))
        with pytest.raises(UserError):
            weight_files.read(path)
    assert not planted.exists()
    pickle.loads(path.read_bytes())
    assert planted.exists()  # it was live


@pytest.mark.extras
@pytest.mark.parametrize(
    "content", [{}, {"epoch": 3}, {"a": "text"}, [1, 2], {"state_dict": {"a": 1}}, {"state_dict": 3}]
)
def test_pytorch_files_without_a_state_dict(content, torch, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="not a state dict, nor one below 'state_dict'"):
        weight_files.read(tmp_path / "weights.pth")


def test_safetensors_need_no_pytorch_and_pth_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    weight_files.write(tmp_path / "w.safetensors", some_tensors())
    assert_same(weight_files.read(tmp_path / "w.safetensors"), some_tensors())
    (tmp_path / "w.pth").touch()
    with pytest.raises(UserError, match=r"w\.pth: \.pth needs PyTorch \(pip install torch\)"):
        weight_files.read(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", FORMATS, indirect=True)
def test_a_full_disk_leaves_what_was_there(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    too_much = {"a": np.zeros(5000, np.float32)}
    with full_disk(4000), pytest.raises(UserError, match=r"weights\S+: cannot be written"):
        weight_files.write(path, too_much)
    assert not list(tmp_path.iterdir())
    weight_files.write(path, some_tensors())
    with full_disk(4000), pytest.raises(UserError):
        weight_files.write(path, too_much)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert_same(weight_files.read(path), some_tensors())
