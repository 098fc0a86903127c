"""Each block of docs/recipes.md is part of a stack file that the program takes, within the house rules."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from slipway.ops.program import config
from slipway.ops.program.recorder import declare, stack_config
from slipway.rules import house_rules
from tests.docs.pages import Page
from tests.docs.test_commands import laid_over
from tests.paths import REPOSITORY

PAGE = Page(REPOSITORY / "docs" / "recipes.md")
RECIPES = re.findall(r"^## (.+)$", PAGE.prose, re.MULTILINE)
BLOCKS = PAGE.blocks("yaml")


def place(block: str) -> str:
    """Return the stack that the first line of a block names."""
    named = re.match(r"# stacks/Pulumi\.(\w+)\.yaml\n", block)
    assert named, "the first line of a block names its stack file"
    return named[1]


def test_every_recipe_has_a_block():
    assert len(BLOCKS) == len(RECIPES)


@pytest.mark.parametrize("block", BLOCKS, ids=RECIPES)
def test_a_recipe_is_a_stack_file_that_the_program_takes_and_that_breaks_no_house_rule(block: str):
    stack = place(block)
    own: Any = yaml.safe_load(block)["config"]
    below = stack_config(stack)
    for service, keys in own.get("slipway:services", {}).items():
        if "ingress" in keys and service in below["slipway:services"]:
            del below["slipway:services"][service]["ingress"]  # another controller, another certificate
    program = declare(stack, laid_over(own, below))
    manifests = program.manifests()
    assert {("Deployment", name) for name in own.get("slipway:services", {})} <= set(manifests)
    broken = house_rules.check(list(manifests.values()), config.settings(stack).tier, [])
    assert [finding.text for finding in broken] == []
