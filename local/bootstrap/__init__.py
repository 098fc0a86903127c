"""Bring what a fresh machine lacks: system packages, Python packages, downloads and compiled programs.

Code belongs here if it has to run before the cluster does. It runs with the system's Python, so it imports nothing but
the standard library; only `bytecode` runs with the Python of .venv.
"""
