"""Tests of the program, `./slipway` and the local cluster: one folder for each of their packages.

Modules here are shared by several folders. pytest plugins are in plugins/, tests of the test suite itself in suite/.
"""

from tests.paths import use_fixture_project

use_fixture_project()  # before anything of `slipway`, which reads its project's folder when it is imported
