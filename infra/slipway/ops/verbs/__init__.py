"""The verbs of `./slipway`, one function each: its options, its help, and the call of the module that does the work.

Each module is named after the package it calls. A new verb is a function here and a line in __main__.py. It imports
what it needs inside the function, so that `--help`, completion and the other verbs do not wait for it.
"""
