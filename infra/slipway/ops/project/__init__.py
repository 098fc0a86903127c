"""Projects of others: `slipway init` writes one for existing sources, `slipway new` adds a service or a stack.

What is found out about sources (guess.py) is told to the user, with the key that changes it. Files are plain text that
people edit afterwards (templates.py), so nothing here is read again later.
"""
