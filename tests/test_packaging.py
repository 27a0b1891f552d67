"""What is installed is what lies in the tree, and a checkout and an installed package do not get in each other's way."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"ambench": "ambench", "ambench/methods": "methods", "ambench/metrics": "metrics"}  # installed: in the tree
NOT_SHIPPED = {".pyc", ".part"}

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="there is no tree beside these tests")


def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build a wheel from a copy of the tree, so that nothing is left behind in it."""
    copy = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return next((copy / "dist").glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_tree_and_no_other(wheel):
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    lying = {
        f"{installed}/{path.relative_to(ROOT / folder).as_posix()}"
        for installed, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in NOT_SHIPPED and not path.name.startswith(".")
    }
    assert held == lying


def test_the_licence_is_in_the_wheel(wheel):
    with ZipFile(wheel) as archive:
        text = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("licenses/LICENSE"))
    assert "Apache License" in text


def test_every_folder_with_python_in_it_is_a_package_by_name():
    found = set()
    for installed, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            inside = path.parent.relative_to(ROOT / folder).as_posix()
            found.add((installed if inside == "." else f"{installed}/{inside}").replace("/", "."))
    assert sorted(found) == sorted(settings()["tool"]["setuptools"]["packages"])


def test_every_package_that_the_source_imports_is_a_dependency():
    import ast

    imported = set()
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                imported |= {name.partition(".")[0] for name in names}
    called = {"sklearn": "scikit-learn", "yaml": "PyYAML", "jinja2": "Jinja2", "PIL": "pillow"}
    needed = {called.get(name, name) for name in imported - {"ambench", "__future__"} - set(sys.stdlib_module_names)}
    listed = {entry.partition(">=")[0] for entry in settings()["project"]["dependencies"]}
    optional = {"numpy", "timm"}  # numpy comes with scipy and pandas; timm is an extra, imported when named
    assert needed - optional <= listed


@pytest.mark.parametrize("folder", ["methods", "metrics"])
def test_a_plugin_folder_refuses_to_be_imported_by_another_name(folder):
    done = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"import this package as 'ambench.{folder}', not as '{folder}'" in done.stderr


def test_an_installed_package_is_not_shadowed_by_a_checkout(wheel, tmp_path):
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ask = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import ambench.methods, ambench.metrics as m; print(ambench.methods.__file__, m.__file__)"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(path.startswith(str(tmp_path)) for path in done.stdout.split())


def test_a_checkout_finds_its_plugins_beside_the_package():
    ask = "import ambench.methods; print(ambench.methods.__file__)"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT / "methods" / "__init__.py")
