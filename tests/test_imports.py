"""Who may import whom, read from the source."""

import ast
import pathlib
import subprocess
import sys

import pytest
from programs import environment

import aggpose_jax

ROOT = pathlib.Path(aggpose_jax.__file__).parent
FLOORS = {  # package: packages whose modules it may import, besides its own and errors
    "config": set(),
    "pose": {"config"},
    "networks": {"config"},
    "runtime": {"config"},
    "weights": {"networks", "pose", "config"},
    "data": {"runtime", "networks", "pose", "config"},
    "recordings": {"pose", "config"},
    "estimation": {"data", "weights", "recordings", "runtime", "networks", "pose", "config"},
    "training": {"estimation", "data", "weights", "runtime", "networks", "pose", "config"},
    "inference": {"estimation", "data", "weights", "recordings", "runtime", "networks", "pose", "config"},
    "program": {
        "inference",
        "training",
        "estimation",
        "data",
        "weights",
        "recordings",
        "runtime",
        "networks",
        "pose",
        "config",
    },
}
FREE = {"aggpose_jax", "aggpose_jax.errors", "aggpose_jax.io", "aggpose_jax.cli"}
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "chex"}
HOST = {"cv2", "grain", "pycocotools"}
NUMPY_ROOMS = ("pose.geometry", "pose.metrics", "pose.draw", "pose.keypoints", "data")
JAX_ROOMS = ("networks", "weights", "runtime", "pose.codec", "estimation.estimator", "training")
# What prediction starts with, and what only training, evaluation or one format needs.
LIGHT = (
    "data.transforms",
    "data.images",
    "data.videos",
    "data.boxes",
    "pose.draw",
    "pose.metrics",
    "recordings.formats",
)
HEAVY = {"grain", "matplotlib", "tensorflow_datasets", "pycocotools", "array_record", "pandas", "optax", "orbax"}
MAY_IMPORT_GRAIN = {"aggpose_jax.data.pipeline"}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(source: str, modules) -> set[str]:
    """All that a source imports, wherever in it; a name that is a module of ours counts as that module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in names}
    return found


IMPORTS = {name: imports(path.read_text(), MODULES) for name, path in MODULES.items()}


def room(module: str) -> str:
    """The room of one of our modules; a module at the top is a program."""
    _, first, *_ = module.split(".")
    return first if (ROOT / first).is_dir() else "program"


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "aggpose_jax"} - FREE


def others(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def is_in(module: str, rooms) -> bool:
    below = module.removeprefix("aggpose_jax.")
    return any(below == name or below.startswith(f"{name}.") for name in rooms)


def reached(module: str, seen: set[str] | None = None) -> set[str]:
    """A module of ours and all of ours that it imports, also through others and as packages on the way."""
    seen = set() if seen is None else seen
    if module in MODULES and module not in seen:
        seen.add(module)
        packages = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
        for name in (*packages, *IMPORTS[module]):
            reached(name, seen)
    return seen


def test_reading_imports():
    source = "import a.b, c\nfrom d import e\ndef f():\n    from aggpose_jax import networks, __doc__ as g\n"
    found = imports(source, {"aggpose_jax.networks"})
    assert found == {"a.b", "c", "d", "aggpose_jax.networks", "aggpose_jax"}


def test_rooms_are_those_of_the_tree():
    assert {room(module) for module in MODULES.keys() - FREE} <= FLOORS.keys()
    for name in (*NUMPY_ROOMS, *JAX_ROOMS):
        assert f"aggpose_jax.{name}" in MODULES


@pytest.mark.parametrize("module", sorted(MODULES.keys() - FREE))
def test_imports_go_down_the_floors(module):
    below = {room(name) for name in ours(IMPORTS[module])}
    own = set() if room(module) == "program" else {room(module)}  # nothing imports a program
    assert below <= FLOORS[room(module)] | own


def test_what_all_may_import_imports_nothing_of_ours():
    for module in FREE:
        assert not ours(IMPORTS[module])
        assert not others(IMPORTS[module]) & (JAX | HOST)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if is_in(m, NUMPY_ROOMS)))
def test_numpy_rooms_never_reach_jax(module):
    for name in reached(module):
        assert not others(IMPORTS[name]) & JAX, name
    if module not in MAY_IMPORT_GRAIN:
        assert not any("grain" in others(IMPORTS[name]) for name in reached(module))


@pytest.mark.parametrize("module", sorted(m for m in MODULES if is_in(m, JAX_ROOMS)))
def test_jax_rooms_never_import_what_works_on_the_host(module):
    assert not others(IMPORTS[module]) & HOST


def test_what_prediction_starts_with_imports_nothing_heavy():
    program = f"import sys, {', '.join(f'aggpose_jax.{name}' for name in LIGHT)}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], env=environment(), text=True).split()
    assert "aggpose_jax.recordings.formats" in loaded
    assert not others(set(loaded)) & HEAVY
