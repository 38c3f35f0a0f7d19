"""Runs the accelerator report where this package may import four libraries only, as on a machine without the others.

python few_libraries.py ARGUMENTS…
"""

import sys

# jax brings jaxlib, scipy and ml_dtypes. The libraries themselves may import whatever they need, but not MISSING.
ALLOWED = {"aggpose_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "ml_dtypes", "torch"}
MISSING = {
    *("ml_collections", "orbax", "cv2", "grain", "pycocotools", "matplotlib", "tensorboardX", "tqdm", "PIL", "av"),
    *("tensorflow", "tensorflow_datasets", "pandas", "safetensors", "onnx", "onnxruntime", "openvino", "jinja2"),
}


class FewLibraries:
    """A finder that does not find modules that the package must not need, and asks another finder for the rest."""

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first in MISSING or (first not in ALLOWED | sys.stdlib_module_names and _importer() == "aggpose_jax"):
            return None
        return self._finder.find_spec(name, path, target)


def _importer() -> str:
    """Returns the top-level package whose code contains the import statement that is being executed."""
    frame = sys._getframe(2)
    while frame and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").partition(".")[0] if frame else ""


if __name__ == "__main__":
    sys.meta_path[:] = map(FewLibraries, sys.meta_path)

    from aggpose_jax import cli
    from aggpose_jax.benchmarks.accelerator import __main__ as program

    cli.run(program.parser, program.main, sys.argv[1:])
