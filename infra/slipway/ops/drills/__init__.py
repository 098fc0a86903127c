"""Game days as code: put a fault into a running stack under traffic, measure what users notice, and undo it.

A drill is an entry in catalogue.py. Its fault goes into faults.py, what a stack must have for it into requirements.py.
"""
