"""Fixtures of all tests of GitOps: what a controller gets of a stack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from slipway.objects import Object
from slipway.ops.gitops.bundle import Bundle, bundle
from slipway.ops.gitops.source import Source
from tests import golden

SOURCE = Source("registry.example.com/slipway/gitops", "prod")
Bundled = Callable[..., Bundle]


@pytest.fixture
def bundled(sdk: None) -> Bundled:
    """`bundled("prod", "flux")` returns what Flux gets of a stack, or of a variant of tests/golden."""

    def of(name: str, controller: str, source: Source = SOURCE, *, verified: bool = True) -> Bundle:
        return bundle(golden.model(name), controller, source, verified=verified)  # pyright: ignore[reportArgumentType]

    return of


def published(found: Bundle) -> dict[str, Object]:
    """Return the objects that the controller applies, by path."""
    return {path: yaml.safe_load(text) for path, text in found.published.items()}


def beside(found: Bundle, kind: str) -> list[Object]:
    """Return the objects of a kind that tell the controller what to apply."""
    return [obj for obj in map(yaml.safe_load, found.beside.values()) if obj["kind"] == kind]
