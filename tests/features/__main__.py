"""`make features`: print the table, and write docs/reference/features.md."""

import sys

from slipway import files
from slipway.ops import errors
from tests import features

try:
    text = features.table()
    files.write({features.DOCUMENT: text})
    sys.stdout.write(text)
except errors.UserError as error:
    sys.exit(f"error: {error}")
