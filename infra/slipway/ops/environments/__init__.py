"""Environments that come and go: `./slipway env` makes a copy of a stack, deletes it, and puts stacks to sleep.

What a stack is called and where it runs is decided in stack_file.py; everything after that is done by the verbs of
other packages: up, restore, destroy.
"""
