"""Delivery from stack to stack: promotion with its checklist, what runs where, and the four DORA figures.

Code belongs here if it looks at more than one stack, or judges whether a release may move on. What updates one stack is
in ops/releases.
"""
