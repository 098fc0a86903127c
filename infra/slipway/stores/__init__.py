"""Stores: MySQL and Redis where the stack runs them itself, with their volumes, accounts, backups and scripts.

Another kind of store is a module with a subclass of `Store` that describes its `Server`; store.py declares the objects.
"""
