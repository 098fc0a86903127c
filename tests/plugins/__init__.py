"""Plugins that make pytest stricter: each is listed in `pytest_plugins` of tests/conftest.py."""
