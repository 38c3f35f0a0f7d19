"""What an installation contains."""

import re
import tomllib

from programs import ROOT


def test_all_packages_are_listed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "aggpose_jax").rglob("__init__.py")
    }
    assert sorted(settings["packages"]) == sorted(found | {"aggpose_jax.configs"})
    assert (ROOT / settings["package-dir"]["aggpose_jax.configs"] / "synthetic.py").exists()


def test_file_formats_need_no_network_library():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    required = {re.split(r"[<>=]", line)[0] for name in ("hdf5", "nwb") for line in extras[name]}
    assert required == {"pandas", "tables", "pynwb", "ndx-pose"}


def test_every_folder_of_the_package_with_code_is_a_package():
    for path in (ROOT / "aggpose_jax").rglob("*.py"):
        assert (path.parent / "__init__.py").exists()


def test_all_files_that_are_not_code_are_listed():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    listed = {
        path
        for package in patterns.keys() - {"aggpose_jax.configs"}
        for pattern in patterns[package]
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    for path in (ROOT / "aggpose_jax").rglob("*"):
        assert path.suffix in (".py", ".pyc") or path.is_dir() or path in listed, path
