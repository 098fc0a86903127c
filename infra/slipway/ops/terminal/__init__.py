"""How `./slipway` prints: its help and its tables, for a terminal or for a pipe.

What is printed belongs to the package of the verb.
"""
