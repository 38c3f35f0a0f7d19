"""Tests that modules import only from lower layers of the architecture, by parsing their source."""

import ast
import pathlib
import subprocess
import sys

import pytest
from programs import environment

import aggpose_jax

ROOT = pathlib.Path(aggpose_jax.__file__).parent
LAYERS = {  # package: the packages that it may import, besides its own modules and those in UNRESTRICTED
    "config": set(),
    "pose": {"config"},
    "networks": {"config"},
    "runtime": {"config"},
    "weights": {"networks", "pose", "config"},
    "data": {"runtime", "networks", "pose", "config"},
    "recordings": {"pose", "config"},
    "timeseries": {"data", "recordings", "pose", "config"},
    "labels": {"data", "pose", "config"},
    "estimation": {"data", "weights", "recordings", "runtime", "networks", "pose", "config"},
    "evidence": {"estimation", "data", "recordings", "pose", "config"},
    "training": {"estimation", "data", "weights", "runtime", "networks", "pose", "config"},
    "inference": {"estimation", "data", "weights", "recordings", "runtime", "networks", "pose", "config"},
    "report": {"inference", "timeseries", "data", "recordings", "pose", "config"},
    "adaptation": {
        "inference",
        "training",
        "estimation",
        "data",
        "labels",
        "recordings",
        "timeseries",
        "runtime",
        "pose",
        "config",
    },
    "benchmarks": {"inference", "training", "estimation", "data", "weights", "runtime", "networks", "pose", "config"},
    "program": {
        "adaptation",
        "benchmarks",
        "report",
        "inference",
        "training",
        "evidence",
        "estimation",
        "data",
        "weights",
        "recordings",
        "timeseries",
        "labels",
        "runtime",
        "networks",
        "pose",
        "config",
    },
}
UNRESTRICTED = {"aggpose_jax", "aggpose_jax.errors", "aggpose_jax.io", "aggpose_jax.cli"}
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "chex"}
HOST = {"cv2", "grain", "pycocotools"}
NUMPY_MODULES = (
    "pose.geometry", "pose.metrics", "pose.draw", "pose.keypoints", "pose.keypoint_files", "data", "labels", "evidence",
    "recordings", "timeseries", "report", "series", "calibrate",
    "adaptation.selection",
)  # fmt: skip
JAX_MODULES = ("networks", "weights", "runtime", "pose.codec", "estimation.estimator", "training")
# LIGHT: modules that prediction imports first. HEAVY: libraries that only training, evaluation or one format needs.
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
    """Returns the dotted name of the module in a source file."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(source: str, modules) -> set[str]:
    """Returns the modules that source code imports anywhere, also inside functions.

    Args:
      source: the Python source.
      modules: names of modules of this package. `from PACKAGE import MODULE` counts as an import of such a module.
    """
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


def layer(module: str) -> str:
    """Returns the package that contains a module of aggpose_jax; a module at the top level is a program."""
    _, first, *_ = module.split(".")
    return first if (ROOT / first).is_dir() else "program"


def restricted(names: set[str]) -> set[str]:
    """Returns the names of modules of aggpose_jax, without those that every module may import."""
    return {name for name in names if name.split(".")[0] == "aggpose_jax"} - UNRESTRICTED


def top_level(names: set[str]) -> set[str]:
    """Returns the top-level packages of modules."""
    return {name.split(".")[0] for name in names}


def is_in(module: str, packages) -> bool:
    """Returns whether a module is one of these packages or modules of aggpose_jax, or inside one of them."""
    relative = module.removeprefix("aggpose_jax.")
    return any(relative == name or relative.startswith(f"{name}.") for name in packages)


def reachable(module: str, visited: set[str] | None = None) -> set[str]:
    """Returns a module of aggpose_jax with its parent packages and the modules that they import, recursively.

    Args:
      module: the name of the module; a module of another package is ignored.
      visited: the set to which the result is added; None makes a new one.
    """
    visited = set() if visited is None else visited
    if module in MODULES and module not in visited:
        visited.add(module)
        packages = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
        for name in (*packages, *IMPORTS[module]):
            reachable(name, visited)
    return visited


def test_imports_are_found_anywhere_in_the_source():
    source = "import a.b, c\nfrom d import e\ndef f():\n    from aggpose_jax import networks, __doc__ as g\n"
    found = imports(source, {"aggpose_jax.networks"})
    assert found == {"a.b", "c", "d", "aggpose_jax.networks", "aggpose_jax"}


def test_tables_of_this_file_name_existing_modules():
    assert {layer(module) for module in MODULES.keys() - UNRESTRICTED} <= LAYERS.keys()
    for name in (*NUMPY_MODULES, *JAX_MODULES):
        assert f"aggpose_jax.{name}" in MODULES


@pytest.mark.parametrize("module", sorted(MODULES.keys() - UNRESTRICTED))
def test_modules_import_only_lower_layers(module):
    # A program may be divided: prepare imports its verb prepare_audit, which no other program may import.
    imported = {layer(name) for name in restricted(IMPORTS[module]) if not name.startswith(f"{module}_")}
    own = set() if layer(module) == "program" else {layer(module)}  # Programs must not be imported.
    assert imported <= LAYERS[layer(module)] | own


def test_unrestricted_modules_import_no_other_modules_of_the_package():
    for module in UNRESTRICTED:
        assert not restricted(IMPORTS[module])
        assert not top_level(IMPORTS[module]) & (JAX | HOST)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if is_in(m, NUMPY_MODULES)))
def test_numpy_modules_do_not_import_jax_even_indirectly(module):
    for name in reachable(module):
        assert not top_level(IMPORTS[name]) & JAX, name
    if module not in MAY_IMPORT_GRAIN:
        assert not any("grain" in top_level(IMPORTS[name]) for name in reachable(module))


@pytest.mark.parametrize("module", sorted(m for m in MODULES if is_in(m, JAX_MODULES)))
def test_jax_modules_do_not_import_libraries_for_the_host(module):
    assert not top_level(IMPORTS[module]) & HOST


def test_modules_that_prediction_imports_first_load_no_heavy_library():
    program = f"import sys, {', '.join(f'aggpose_jax.{name}' for name in LIGHT)}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], env=environment(), text=True).split()
    assert "aggpose_jax.recordings.formats" in loaded
    assert not top_level(set(loaded)) & HEAVY
