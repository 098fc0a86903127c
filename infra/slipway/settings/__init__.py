"""The stack file: its sections with their units and ranges, how it is read, and every error in it at once.

A new setting is a field of a class in `sections/`, with a type of `types/` if it has a form of its own. A rule about
two settings of one section stands in its class, a rule between sections in `checks.py`.
"""
