"""Types of single values: names, quantities, addresses, times.

Add a type here when a value has a format of its own, with the words by which an error describes it.
"""
