"""Rules about what a service's pods get beyond the program's own, and about patches.

Add a rule here if it compares such a key with another one, or with the objects that the service declares.
"""
