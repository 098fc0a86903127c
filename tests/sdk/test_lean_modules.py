"""The lean copies of the SDKs' modules: what they keep, what they leave out, and when they are used."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from slipway.sdk import lean_modules
from slipway.sdk.lean_modules import LeanLoader

MODULE = '''
from typing import Optional, TypedDict, overload

class PortArgsDict(TypedDict):
    """Documentation."""
    number: "NoSuchName"

class PortArgs:
    """Documentation."""
    @overload
    def __init__(self) -> None: ...
    @overload
    def __init__(self, number: int) -> None: ...
    def __init__(self, number: Optional[int] = None) -> None:
        """Documentation."""
        self.number = number

class Empty:
    """Documentation."""
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the source of a generated module of one SDK."""
    package = tmp_path / "generated_sdk"
    package.mkdir()
    (package / "__init__.py").touch()
    source = package / "ports.py"
    source.write_text(MODULE)
    monkeypatch.setattr(lean_modules, "PACKAGES", ("generated_sdk",))
    monkeypatch.syspath_prepend(str(tmp_path))
    return source


def imported(monkeypatch: pytest.MonkeyPatch):
    """Import the module as a new process would."""
    for name in ("generated_sdk", "generated_sdk.ports"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("generated_sdk.ports")


def write(source: Path) -> None:
    LeanLoader("generated_sdk.ports", str(source)).write()


def test_without_a_copy_a_module_is_imported_as_usual(module: Path, monkeypatch: pytest.MonkeyPatch):
    ports = imported(monkeypatch)
    assert ports.PortArgs.__doc__ == "Documentation."
    assert "number" in ports.PortArgsDict.__annotations__


def test_a_copy_has_classes_and_signatures_and_no_more(module: Path, monkeypatch: pytest.MonkeyPatch):
    write(module)
    ports = imported(monkeypatch)
    assert ports.PortArgs(number=80).number == 80
    assert ports.PortArgs.__init__.__annotations__["number"] == "Optional[int]"
    assert ports.PortArgs.__doc__ is ports.Empty.__doc__ is None
    assert ports.PortArgsDict(number=80) == {"number": 80}
    assert ports.PortArgsDict.__annotations__ == {}


def test_lines_of_a_traceback_are_those_of_the_source(module: Path, monkeypatch: pytest.MonkeyPatch):
    write(module)
    line = imported(monkeypatch).PortArgs.__init__.__code__.co_firstlineno
    assert MODULE.splitlines()[line - 1].strip().startswith("def __init__(self, number: Optional[int]")


def test_an_edited_source_is_imported_instead_of_its_old_copy(module: Path, monkeypatch: pytest.MonkeyPatch):
    write(module)
    module.write_text(MODULE.replace("self.number = number", "self.number = 443"))
    assert imported(monkeypatch).PortArgs().number == 443


def test_a_source_of_the_same_size_is_distinguished_by_its_time(module: Path, monkeypatch: pytest.MonkeyPatch):
    write(module)
    stat = module.stat()
    module.write_text(MODULE.replace("self.number = number", "self.number = 123456"))
    os.utime(module, (stat.st_atime, stat.st_mtime + 1))
    assert module.stat().st_size == stat.st_size
    assert imported(monkeypatch).PortArgs().number == 123456


def test_the_copy_is_not_the_bytecode_that_others_import(module: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    imported(monkeypatch)
    write(module)
    monkeypatch.setattr(lean_modules, "PACKAGES", ())
    assert imported(monkeypatch).PortArgs.__doc__ == "Documentation."


def test_a_copy_that_cannot_be_written_is_reported(module: Path):
    """As where the packages belong to root: Python itself says nothing then, and every run would stay slow."""
    (module.parent / "__pycache__").write_text("a file where the folder would be")
    with pytest.raises(OSError, match=r"cannot be written: .*ports.*slipway1.pyc"):
        write(module)


def test_the_program_imports_lean_copies_after_make_venv():
    """Otherwise a run of the program takes a third longer."""
    import pulumi_kubernetes.core.v1 as core

    assert core.ContainerArgs.__init__.__annotations__["image"] == "pulumi.Input[Optional[_builtins.str]]"
    assert core.ContainerArgs(name="api").name == "api"
