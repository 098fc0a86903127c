"""Keeps tests that use git away from the repository of a git hook that runs the tests.

Git sets GIT_DIR for hooks and `git rebase --exec`, and it overrides `git -C folder`: commits of a test would go to the
repository of the hook, and `git init` would rewrite its configuration.
"""

from __future__ import annotations

import os

# The output of `git rev-parse --local-env-vars`.
_REPOSITORY_VARIABLES = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"),
    *("GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
    "GIT_WORK_TREE",
)


def pytest_configure() -> None:
    for name in _REPOSITORY_VARIABLES:
        os.environ.pop(name, None)
