"""Fixtures of the end-to-end tests, for tests with software that the local cluster does not include."""

from tests.e2e.conftest import api, copy_of_project, edit

__all__ = ["api", "copy_of_project", "edit"]
