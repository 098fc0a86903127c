"""`make golden`: write the golden files anew."""

from tests.golden import renew

renew()
