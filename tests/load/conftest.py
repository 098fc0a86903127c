"""The fixtures of the end-to-end tests, for those that put a load on the same stack."""

from tests.e2e.conftest import api, edit

__all__ = ["api", "edit"]
