"""Rules between the sections of a stack file, by subject. checks.py lists them all.

Add a rule here if it reads more than one section; a rule within one section stands in its class.
"""
