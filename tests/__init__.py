"""Tests of the program, `./slipway` and the local cluster: one folder for each of their packages.

Modules here are shared by several folders. pytest plugins are in plugins/, tests of the test suite itself in suite/.
"""
