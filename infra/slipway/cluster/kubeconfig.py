"""Kubeconfig files, read as kubectl reads them.

KUBECONFIG names one file or several. The first file that defines a context, a cluster or a user wins, and the three may
come from different files. Relative paths are relative to the file that contains them.

Libraries do not: lightkube looks for all three in one file and supports neither `proxy-url` nor `tls-server-name`; the
official client takes a second to import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Entry: TypeAlias = dict[str, Any]
"""A context, cluster or user as the file has it, with absolute paths."""

# Ten times as fast as the loader in Python, but not part of every build of PyYAML.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECTIONS = {"contexts": "context", "clusters": "cluster", "users": "user"}
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")

# The name, in messages, of a kubeconfig that was given as text.
_GIVEN = "the given kubeconfig"


class KubeconfigError(Exception):
    """The kubeconfig is not usable. The message never quotes a file's content."""


@dataclass(frozen=True)
class Access:
    """How to reach one cluster: a context with its cluster and user."""

    context: str
    cluster: Entry
    user: Entry = field(default_factory=dict[str, Any])
    namespace: str = "default"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.cluster["server"]


@dataclass
class Kubeconfig:
    """All kubeconfig files merged."""

    contexts: dict[str, Entry] = field(default_factory=dict[str, Entry])
    clusters: dict[str, Entry] = field(default_factory=dict[str, Entry])
    users: dict[str, Entry] = field(default_factory=dict[str, Entry])
    current: str = ""
    sources: list[str] = field(default_factory=list[str])

    def add(self, content: Any, source: str, folder: Path | None) -> None:
        """Add the definitions of another file; those of earlier files win."""
        self.sources.append(source)
        if content is None:
            return
        if not isinstance(content, dict):
            raise KubeconfigError(f"{source} is not a kubeconfig: it is not a mapping")
        self.current = self.current or str(content.get("current-context") or "")
        for section, kind in _SECTIONS.items():
            added = dict[str, Entry]()
            for name, entry in _named(content, section, kind, source):
                if name in added:
                    raise KubeconfigError(f"{source} is not a kubeconfig: it defines {kind} {name!r} twice")
                added[name] = _with_absolute_paths(entry, folder, f"{source}: {kind} {name!r}")
            known: dict[str, Entry] = getattr(self, section)
            known.update({name: entry for name, entry in added.items() if name not in known})

    def access(self, context: str = "") -> Access:
        """Return how to reach the cluster of a context, by default of the current context."""
        name = context or self.current
        if name not in self.contexts:
            wanted = f"context {name!r} is not" if name else "no current context is set"
            known = ", ".join(self.contexts) or "none"
            raise KubeconfigError(f"{wanted} in {self.shown} (contexts there: {known})")
        chosen = self.contexts[name]
        cluster = self._defined(name, "cluster", self.clusters)
        if not isinstance(cluster.get("server"), str) or not cluster["server"]:
            raise KubeconfigError(f"cluster {chosen['cluster']!r} of context {name!r} has no `server` in {self.shown}")
        if cluster.get("insecure-skip-tls-verify") and (
            cluster.get("certificate-authority") or cluster.get("certificate-authority-data")
        ):
            raise KubeconfigError(
                f"cluster {chosen['cluster']!r} of context {name!r} has both a certificate authority and "
                f"`insecure-skip-tls-verify` in {self.shown}: remove one of them"
            )
        user = self._defined(name, "user", self.users) if chosen.get("user") else {}
        return Access(name, cluster, user, chosen.get("namespace") or "default")

    @property
    def shown(self) -> str:
        """The names of the files, for messages."""
        if not self.sources:
            return "any kubeconfig: there is none"
        return _GIVEN if self.sources == [_GIVEN] else f"the kubeconfig {', '.join(self.sources)}"

    def _defined(self, context: str, kind: str, known: dict[str, Entry]) -> Entry:
        name = self.contexts[context].get(kind) or ""
        if name not in known:
            defined = ", ".join(known) or "none"
            raise KubeconfigError(
                f"context {context!r} names {kind} {name!r}, which {self.shown} does not define "
                f"({kind}s there: {defined})"
            )
        return known[name]


def load(given: str = "") -> Kubeconfig:
    """Return the merged kubeconfig: the given path or text, else the files of KUBECONFIG, else ~/.kube/config."""
    merged = Kubeconfig()
    if _is_text(given):
        merged.add(_parsed(given, _GIVEN), _GIVEN, None)
        return merged
    for path in [Path(given).expanduser()] if given else files():
        try:
            text = path.read_text()
        except FileNotFoundError:
            if given:
                raise KubeconfigError(f"there is no kubeconfig {given}") from None
            continue  # kubectl skips missing files, too
        except (OSError, UnicodeDecodeError) as error:
            raise KubeconfigError(f"the kubeconfig {path} cannot be read ({type(error).__name__})") from None
        merged.add(_parsed(text, str(path)), str(path), path.absolute().parent)
    return merged


def files() -> list[Path]:
    """Return the paths where kubectl looks for kubeconfig files, whether they exist or not."""
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return list(dict.fromkeys(Path(name) for name in paths.split(os.pathsep) if name))


def _parsed(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _LOADER)  # noqa: S506 - both loaders are safe ones
    except yaml.YAMLError as error:
        # The text of a YAML error quotes the file, which may contain keys.
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise KubeconfigError(f"{source} is not a kubeconfig: it is not YAML{line}") from None


def _named(content: Entry, section: str, kind: str, source: str) -> Iterator[tuple[str, Entry]]:
    entries: Any = content.get(section) or []
    if not isinstance(entries, list):
        raise KubeconfigError(f"{source} is not a kubeconfig: `{section}` is not a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise KubeconfigError(f"{source} is not a kubeconfig: {section}[{index}] has no name")
        value: Any = entry.get(kind) or {}
        if not isinstance(value, dict):
            raise KubeconfigError(f"{source} is not a kubeconfig: {kind} {entry['name']!r} is not a mapping")
        yield entry["name"], value


def _with_absolute_paths(entry: Entry, folder: Path | None, where: str) -> Entry:
    entry = {key: value for key, value in entry.items() if value is not None}
    for key in _PATHS:
        if key in entry:
            entry[key] = _absolute(entry[key], folder, f"{where}: `{key}`")
    plugin = entry.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command")):  # else it is looked up on the PATH
        entry["exec"] = {**plugin, "command": _absolute(plugin["command"], folder, f"{where}: `exec.command`")}
    return entry


def _absolute(path: Any, folder: Path | None, where: str) -> str:
    if not isinstance(path, str):
        raise KubeconfigError(f"{where} is not a text")
    return str(folder / path) if folder and path else path


def _is_text(given: str) -> bool:
    return "\n" in given or given.lstrip().startswith("{")
