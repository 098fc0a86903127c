"""Tests that use git do so in repositories of their own, also where git itself runs the tests.

A hook and `git rebase --exec` have GIT_DIR in their environment, and it counts more than `git -C folder`: commits that
a test makes would go to the repository that the hook belongs to, and `git init` would rewrite its configuration.
"""

from __future__ import annotations

import os

# What `git rev-parse --local-env-vars` lists.
_OF_ONE_REPOSITORY = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"),
    *("GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
    "GIT_WORK_TREE",
)


def pytest_configure() -> None:
    for name in _OF_ONE_REPOSITORY:
        os.environ.pop(name, None)
