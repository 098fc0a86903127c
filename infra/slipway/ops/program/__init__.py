"""The program and the engine without a cluster: what a stack declares, its settings, and the engine's state and log.

Code that knows a format of Pulumi, its SDK or its command line belongs here; code that changes a stack does not.
"""
