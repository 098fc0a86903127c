"""What is promised of the reference app in app/ (docs/reference-app.md). Skipped where another app took its place."""

from __future__ import annotations

import pytest

from tests.paths import HAS_REFERENCE_APP

only_with_the_reference_app = pytest.mark.skipif(not HAS_REFERENCE_APP, reason="app/ is not the reference app")
