"""A name that nobody knows is answered with what was meant, or with what there is instead; never with another word."""

from __future__ import annotations

import re
from typing import Any, get_args

import pulumi
import pytest
from pydantic import BaseModel

from slipway import suggestions
from slipway.ops.program.recorder import declare
from slipway.settings.sections.pods import Schedule
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings
from slipway.suggestions import distance, instead_of, nearest
from tests.conftest import with_changes


def keys(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("replcas", "replicas"),
        ("ingerss", "ingress"),
        ("Autoscalling", "autoscaling"),
        ("startup_seconds", "startupSeconds"),
        ("schedule", "schedules"),
        ("need", "needs"),
        ("envs", "env"),
        ("secretlength", "secretLengths"),
    ],
)
def test_a_typo_is_answered_with_the_name_that_was_meant(word: str, meant: str):
    assert nearest(word, keys(Service)) == meant


@pytest.mark.parametrize("word", ["affinity", "volumeMounts", "colour", "x", "", "a" * 100_000])
def test_another_word_is_not_taken_for_a_typo(word: str):
    assert nearest(word, [*keys(Service), *keys(Settings)]) is None


def test_of_two_near_names_the_nearer_one_is_meant():
    assert nearest("hst", ["hosts", "host"]) == "host"


@pytest.mark.parametrize(
    ("left", "right", "slips"),
    [
        ("", "", 0),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("abc", "acb", 1),
        ("abc", "xbc", 1),
        ("abc", "abxc", 1),
        ("ab", "ba", 1),
    ],
)
def test_a_swap_of_two_characters_is_one_slip(left: str, right: str, slips: int):
    assert distance(left, right) == distance(right, left) == slips


def refusal(key: str) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        declare("dev", with_changes("dev", {key: {"some": "thing"}}))
    return next(line for line in str(refused.value).splitlines() if f"slipway:{key}: " in line)


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("services.api.priorityClassName", 'did you mean "priorityClass"?'),
        (
            "services.api.affinity",
            "`nodeSelector` and `tolerations` choose nodes; pods are spread over them; the rest stands in `patch`",
        ),
        (
            "services.api.livenessProbe",
            "`probes` has `startup`, `ready` and `live`; `startupSeconds` says how long a start may take",
        ),
        ("services.api.resources.limits", "`cpu` is the request, `cpuLimit` its limit, `memory` both"),
        (
            "services.api.imagePullSecrets",
            "slipway:registry and slipway:registries say who pulls images, `pullSecrets` who pulls others",
        ),
        ("services.api.replicaCount", 'did you mean "replicas"?'),
    ],
)
def test_a_field_of_kubernetes_is_answered_with_what_there_is_instead(sdk: None, key: str, instead: str):
    assert refusal(key).endswith(f": unknown key; {instead}")


def test_any_other_unknown_key_is_answered_with_the_known_ones(sdk: None):
    assert "unknown key; known here: cpu, cpuLimit, memory" in refusal("services.api.resources.colour")


FIELDS = [name for names in suggestions._INSTEAD.values() for name in names.split()]  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("field", FIELDS)
def test_what_is_said_of_a_field_of_kubernetes_is_reached_and_names_settings_there_are(field: str):
    # Else a typo would be seen in it first.
    section = Schedule if field == "schedule" else Service
    assert field not in keys(section)
    assert nearest(field, keys(section)) is None
    names = re.findall(r"slipway:([a-z.A-Z]+)|`([a-zA-Z]+)", str(instead_of(field)))
    known = {*_all_keys(Settings), "restricted"}
    assert {part for pair in names for name in pair if name for part in name.split(".")} <= known


def _all_keys(section: type[BaseModel]) -> set[str]:
    """The keys of a section and of those below it."""
    below = {kind for field in section.model_fields.values() for kind in _sections_in(field.annotation)}
    own = {field.alias or name for name, field in section.model_fields.items()}
    return own.union(*map(_all_keys, below))


def _sections_in(annotation: Any) -> set[type[BaseModel]]:
    """The sections that a type names: `dict[str, Service] | None` -> Service."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return set().union(*map(_sections_in, get_args(annotation)))
