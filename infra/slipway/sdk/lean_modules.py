"""Import the generated SDKs of providers without the parts that only editors and type checkers read.

`pulumi_kubernetes.core.v1` alone has 75,000 lines: two classes for each type of Kubernetes, a TypedDict beside each,
and annotations that Python evaluates one by one. That was a quarter of a run of the program. `install()` lets Python
import a lean copy of such a module: annotations stay text until Pulumi asks for one (PEP 563), TypedDicts have no
fields, and docstrings and overloads are left out. Classes, their signatures and their names on the wire are those of
the SDK.

The copies are bytecode beside Python's own in `__pycache__`. `write()` makes them, once after an installation, since it
takes longer than an import as usual. Python's rule decides whether a copy is up to date: time and size of the source. A
module without an up-to-date copy is imported as usual.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType, ModuleType

PACKAGES = ("pulumi_kubernetes", "pulumi_docker")
GROUPS = ("apiextensions", "apps.v1", "autoscaling.v2", "batch.v1", "core.v1", "meta.v1", "networking.v1", "policy.v1")
"""What `write()` copies of Kubernetes: the groups that the program uses."""
# Part of the file's name. A change of `lean` needs another number, so that no older copy is read.
_TAG = "slipway1"


def install() -> None:
    """Import lean copies of the SDKs' modules from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the modules of the SDKs where Python does, and loads them with our loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            spec.loader = LeanLoader(spec.loader.name, spec.loader.path)
        return spec


class LeanLoader(SourceFileLoader):
    """Loads the lean copy of a module or, without one, the module itself."""

    def get_code(self, fullname: str) -> CodeType | None:
        header = self._header()
        try:
            copy = self.get_data(self._copy())
        except OSError:
            copy = b""
        if not copy.startswith(header):
            return super().get_code(fullname)
        return marshal.loads(memoryview(copy)[len(header) :])  # noqa: S302 - as trusted as Python's own bytecode

    def write(self) -> None:
        """Write the lean copy of the module. Raises OSError if it cannot be written."""
        tree = lean(ast.parse(self.get_data(self.path)))
        code = compile(tree, self.path, "exec", __future__.annotations.compiler_flag, dont_inherit=True)
        content = self._header() + marshal.dumps(code)
        self.set_data(self._copy(), content)  # which ignores errors
        if not Path(self._copy()).is_file() or self.get_data(self._copy()) != content:
            raise OSError(f"cannot be written: {self._copy()}")

    def _copy(self) -> str:
        return cache_from_source(self.path, optimization=_TAG)

    def _header(self) -> bytes:
        """Return how a copy of the present source begins, in the format of a .pyc file (PEP 552)."""
        stats = self.path_stats(self.path)
        numbers = (0, int(stats["mtime"]), stats["size"])
        return MAGIC_NUMBER + b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)


def write() -> int:
    """Write lean copies of all modules that the program imports; return their number. Raises OSError."""
    for group in GROUPS:
        import_module(f"pulumi_kubernetes.{group}")
    import_module("pulumi_docker")
    loaders = [module.__loader__ for name, module in sys.modules.items() if name.partition(".")[0] in PACKAGES]
    lean_loaders = [loader for loader in loaders if isinstance(loader, LeanLoader)]
    for loader in lean_loaders:
        loader.write()
    return len(lean_loaders)


def lean(tree: ast.Module) -> ast.Module:
    """Return the module without fields of TypedDicts, overloads and docstrings."""
    return ast.fix_missing_locations(_Lean().visit(tree))


class _Lean(ast.NodeTransformer):
    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        if any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases):
            node.body = [ast.Pass()]
            return node
        self.generic_visit(node)
        node.body = _without_docstring(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        if any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in node.decorator_list):
            return None
        node.body = _without_docstring(node)
        return node


def _without_docstring(node: ast.ClassDef | ast.FunctionDef) -> list[ast.stmt]:
    """Return the statements of a class or function, at least one."""
    has_docstring = ast.get_docstring(node, clean=False) is not None
    return node.body[has_docstring:] or [ast.Pass()]
