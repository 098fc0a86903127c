"""The parts of the Pulumi program; infra/__main__.py puts them together on one screen.

A module stands here if several packages use it, or if it is about the stack as a whole. A topic of several
files is a package. tests/program/test_layout.py lists which part may import which.
"""
