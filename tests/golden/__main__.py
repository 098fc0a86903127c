"""`make golden`: rewrite the golden files."""

from tests.golden import renew

renew()
