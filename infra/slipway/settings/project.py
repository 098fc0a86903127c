"""The former place of slipway/project.py."""

from slipway.project import CONFIG, INFRA, PROJECT, ROOT

__all__ = ["CONFIG", "INFRA", "PROJECT", "ROOT"]
