"""Gets the models of a stack to compare: from two git revisions, or from the engine's own preview."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from slipway.objects import SECRET, Object, mapping
from slipway.ops.changes.comparison import Change, Field, Model
from slipway.ops.errors import UserError
from slipway.ops.program.recorder import Program, declare
from slipway.project import CONFIG, IMPORTED_FROM, ROOT
from slipway.settings.names import MIGRATION_PASSWORD, REGISTRY_PASSWORD, password_of

# Runs in the tree of another revision, so it only uses what every revision has.
_DECLARE = """\
import json, sys
answer, sys.stdout, stack = sys.stdout, sys.stderr, ""
try:
    try:
        from slipway.ops.program.recorder import declare
    except ModuleNotFoundError:  # revisions whose CLI was a package of its own
        from ops.program.recorder import declare
    declared = {}
    for stack in sys.argv[1:]:
        declared[stack] = [[r.urn, r.type, r.name, r.inputs, r.options] for r in declare(stack).resources]
except Exception as error:
    declared = {"error": f"{stack}: {error}".lstrip(": ")}
json.dump(declared, answer)
"""
_PROVIDER = "pulumi:providers:kubernetes"
# The key of a Secret with all passwords of registries.
_LOGINS = ".dockerconfigjson"

# The engine prints this in place of a secret value.
_SECRET_TO_ENGINE = "[secret]"
# A replacement has three steps. Only `replace` has both sides; the other two repeat one of them.
_STEPS = {"create", "update", "delete", "replace", "same", "import"}


class ModelError(UserError):
    """A model is not available; the message says which one, why, and what to do."""


def of_tree(stack: str) -> Model:
    """Return the stack as the working tree declares it."""
    return of_program(declare(stack))


def of_program(program: Program) -> Model:
    """Return what a recorded run of the working tree's program declared."""
    declared = [[r.urn, r.type, r.name, r.inputs, r.options] for r in program.resources]
    return model_of(declared, ROOT / "stacks" / f"Pulumi.{program.stack}.yaml")


def of_folder(stacks: list[str], folder: Path) -> dict[str, Model]:
    """Return stacks as the program of another tree declares them; a stack that it lacks is empty."""
    files = {stack: folder / "stacks" / f"Pulumi.{stack}.yaml" for stack in stacks}
    there = [stack for stack, file in files.items() if file.is_file()]
    declared = _declared_in(folder, there) if there else {}
    return {stack: model_of(declared.get(stack, []), files[stack]) for stack in stacks}


def _declared_in(folder: Path, stacks: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-c", _DECLARE, *stacks]
    # Without a package of its own, it is run by this one.
    paths = [folder, folder / "infra", *([] if _has_own_package(folder) else [IMPORTED_FROM])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "SLIPWAY_PROJECT": str(folder)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    declared = json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip().rpartition("\n")[2]}
    if "error" in declared:
        raise ModelError(
            f"the program of the base revision does not run: {declared['error']}. Give another one with --base."
        )
    return declared


def _has_own_package(folder: Path) -> bool:
    """Return whether a tree contains this package, as Slipway's own repository does, and not only uses it."""
    return any((folder / place / "program" / "recorder.py").is_file() for place in ("infra/slipway/ops", "ops"))


def model_of(declared: Iterable[list[Any]], stack_file: Path) -> Model:
    """Return the model of declared resources, each given as URN, type, name, inputs and options."""
    encrypted = _encrypted(stack_file)
    return {
        _title(type_, name): {
            **_with_digests(name, inputs, encrypted),
            "options": {"urn": urn, "protect": options.get("protect", False)},
        }
        for urn, type_, name, inputs, options in declared
        if _is_compared(type_)
    }


def _is_compared(type_: str) -> bool:
    """Return whether a resource is compared: Kubernetes objects and their provider. Images appear in the pods."""
    return type_ == _PROVIDER or type_.startswith("kubernetes:")


def _title(type_: str, name: str) -> str:
    return f"Provider/{name}" if type_ == _PROVIDER else f"{type_.rpartition(':')[2]}/{name}"


def _encrypted(stack_file: Path) -> dict[str, str]:
    """Return a short digest of the ciphertext of each secret: it shows that a value is new, and nothing about it."""
    content = yaml.safe_load(stack_file.read_text()) if stack_file.is_file() else None
    config: dict[str, Any] = (content or {}).get("config") or {}
    secrets = {key.removeprefix(f"{CONFIG}:"): mapping(value).get("secure") for key, value in config.items()}
    texts = {name: str(text) for name, text in secrets.items() if text}
    logins = [text for name, text in sorted(texts.items()) if name.startswith(REGISTRY_PASSWORD)]
    texts |= {_LOGINS: "\0".join(logins)} if logins else {}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:8] for name, text in texts.items()}


def _with_digests(name: str, inputs: dict[str, Any], encrypted: dict[str, str]) -> dict[str, Any]:
    """Return inputs with `*** (digest)` for keys of a Secret that the stack file encrypts, so that rotations show."""
    if inputs.get("kind") != "Secret":
        return {key: value for key, value in inputs.items() if key != "kubeconfig"}
    keys: list[str] = list(inputs.get("stringData") or {})
    # A migration reads its own password under the name of the service's (infra/slipway/service/configuration.py).
    renamed = {password_of("mysql"): MIGRATION_PASSWORD} if name.endswith("-migration-secret") else {}
    digests = {key: encrypted.get(renamed.get(key, key)) for key in keys}
    return {
        **inputs,
        "stringData": {key: f"{SECRET} ({digest})" if digest else SECRET for key, digest in digests.items()},
    }


@contextmanager
def checked_out(commit: str) -> Generator[Path]:
    """Yield a temporary folder with the tree of a commit; the clone is not touched."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if archive.returncode != 0:
        raise ModelError(f"git cannot give the tree of {commit}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="slipway-base-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
            try:
                tree.extractall(folder, filter="data")
            except tarfile.FilterError as error:
                raise ModelError(
                    f"{commit[:12]} cannot be compared with: {error.tarinfo.name} is a link to "
                    f"{error.tarinfo.linkname}, out of the project. Links have to stay within it."
                ) from error
        if _has_own_package(ROOT) and not _has_own_package(Path(folder)):
            raise ModelError(f"{commit[:12]} is older than `./slipway render`. Give a later one with --base.")
        yield Path(folder)


def revision(base: str | None) -> tuple[str, str]:
    """Return a commit and its name. Without a base: where this branch left main, or HEAD on main itself."""
    name = base or next((main for main in ("origin/main", "main") if _git("merge-base", "HEAD", main)), "HEAD")
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if not commit:
        raise ModelError(f"git does not know the revision {name!r}. In a shallow clone, fetch it; else see `git log`.")
    if base is None and name != "HEAD":
        commit = _git("merge-base", "HEAD", name)
    return commit, f"{name} ({commit[:12]})"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def known_to_engine() -> set[str]:
    """Return the stacks that the engine has deployed: none without `pulumi`, a login, or a first `pulumi up`."""
    if not shutil.which("pulumi"):
        return set()
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    listed = json.loads(done.stdout) if done.returncode == 0 else []
    return {stack["name"].rpartition("/")[2] for stack in listed if stack.get("resourceCount", 1)}


def of_engine(stack: str, *options: str) -> list[Change]:
    """Return the changes that `pulumi preview` reports against the stack's state, with secrets as `[secret]`."""
    command = ["pulumi", "preview", "--json", "--show-sames", "--non-interactive", "-s", stack, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        preview = json.loads(done.stdout)
    except ValueError:
        preview = {}
    if done.returncode != 0 or "steps" not in preview:
        errors = [entry["message"].strip() for entry in preview.get("diagnostics", []) if entry["severity"] == "error"]
        raise ModelError(f"{stack}: `pulumi preview` failed: {' '.join(errors) or done.stderr.strip()}")
    return of_steps(preview["steps"])


def of_steps(steps: list[dict[str, Any]]) -> list[Change]:
    """Return the changes in the steps of `pulumi preview --json`, one for each object."""
    changes: dict[str, Change] = {}
    for step in steps:
        type_, name = step["urn"].split("::")[2].split("$")[-1], step["urn"].split("::")[3]
        if step["op"] not in _STEPS or not _is_compared(type_):
            continue
        title = _title(type_, name)
        before, after = _side(step, "oldState"), _side(step, "newState")
        twin = changes.get(title)
        if twin:  # one URN is created and another deleted for the same Kubernetes object
            before, after = before or twin.before, after or twin.after
        replaced = bool(twin) or step["op"] == "replace"
        changes[title] = Change(title, before, after, replaced, tuple(_secret_fields(step, before or {})))
    return list(changes.values())


def _side(step: dict[str, Any], name: str) -> Object | None:
    """Return the inputs on one side of a step, without what only the engine reads."""
    state = step.get(name)
    if state is None or (step["op"] == "delete" and name == "newState"):
        return None
    hidden = re.compile("__|id$|(kubeconfig|version)$")
    inputs = {key: value for key, value in state.get("inputs", {}).items() if not hidden.match(key)}
    return {**inputs, "options": {"urn": step["urn"], "protect": state.get("protect", False)}}


def _secret_fields(step: dict[str, Any], before: Object) -> Iterator[Field]:
    """Yield the fields that the engine compared and does not show: both sides are `[secret]`."""
    secret = {key for key, value in before.items() if _SECRET_TO_ENGINE in json.dumps(value)}
    for path in sorted(step.get("detailedDiff") or {}):
        if re.split(r"[.\[]", path)[0] in secret:
            yield Field(path, SECRET, f"{SECRET}, changed")
