"""Golden files: every change of an object, or of its identity, shows in a diff before it reaches a cluster."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pytest

from slipway.ops.program.check import TAG
from tests import golden
from tests.conftest import Changed
from tests.golden import NAMES

RENEW = "Read the difference; if all of it is meant: run `make golden` and commit tests/golden/ with the change."


def difference(expected: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """Return the changes, file by file, as `diff -u` shows them."""
    return "".join(
        line
        for file in sorted(expected.keys() | actual.keys())
        for line in difflib.unified_diff(
            expected.get(file, "").splitlines(keepends=True),
            actual.get(file, "").splitlines(keepends=True),
            f"recorded/{file}",
            f"now/{file}",
        )
    )


def replaced(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the live objects that a `pulumi up` from one to the other would delete."""
    gone = [f"{urn} ({stands_for}): gone" for urn, stands_for in before.items() if urn not in after]
    renamed = [
        f"{urn}: {stands_for} would become {after[urn]}"
        for urn, stands_for in before.items()
        if after.get(urn, stands_for) != stands_for
    ]
    return sorted(gone + renamed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.feature("N1")
@pytest.mark.feature("M1", part="golden files")
def test_every_object_is_as_it_was_recorded(name: str):
    recorded = {file.name: file.read_text() for file in (golden.FOLDER / name).iterdir()}
    changes = difference(recorded, golden.documents(name))
    assert not changes, f"tests/golden/{name} is not what the program declares now:\n{changes}\n{RENEW}"


def test_no_live_object_would_be_deleted_or_recreated():
    lost = replaced(golden.recorded(), golden.identities())
    assert not lost, (
        "these live objects would be deleted, or created again under another name:\n  "
        + "\n  ".join(lost)
        + "\nThe URN (its parents' types, its type, its logical name) is what Pulumi knows a live object by. Renamed "
        'or moved? Give the resource opts=ResourceOptions(aliases=[pulumi.Alias(name="old")]), or its former parent= '
        "or type_=, and `pulumi up` keeps the object. After that, or if they are to go: `make golden`."
    )


def test_every_identity_is_recorded():
    new = sorted(golden.identities().keys() - golden.recorded().keys())
    assert not new, "not in tests/golden/urns.txt yet, record them with `make golden`:\n  " + "\n  ".join(new)


def test_the_content_of_the_app_does_not_change_the_golden_files():
    texts = "".join(text for name in NAMES for text in golden.documents(name).values())
    assert TAG in texts
    assert "src-" not in texts.replace(TAG, "")


def test_a_changed_object_is_shown_as_a_diff():
    diff = difference({"a.yaml": "x: 1\ny: 2\n"}, {"a.yaml": "x: 1\ny: 3\n", "b.yaml": "z: 4\n"})
    assert "--- recorded/a.yaml\n+++ now/a.yaml\n" in diff
    assert "-y: 2\n+y: 3\n" in diff
    assert "+++ now/b.yaml\n@@ -0,0 +1 @@\n+z: 4\n" in diff


def test_a_new_logical_name_parent_or_object_name_is_a_replacement():
    before = {"dev A$B::x": "ns/B/x", "dev A$C::y": "ns/C/y", "dev A$D::z": "ns/D/z-*"}
    assert replaced(before, before | {"dev A$E::new": "ns/E/new"}) == []
    after = {"dev A$B::x2": "ns/B/x", "dev C::y": "ns/C/y", "dev A$D::z": "ns/D/zz-*"}
    assert replaced(before, after) == [
        "dev A$B::x (ns/B/x): gone",
        "dev A$C::y (ns/C/y): gone",
        "dev A$D::z: ns/D/z-* would become ns/D/zz-*",
    ]


def test_another_value_of_a_variable_changes_no_identity(changed: Changed):
    program = changed("dev", {"services.api.env.LOG_LEVEL": "warn"})
    assert golden.identities_of("dev", program).items() <= golden.recorded().items()
