"""Benchmarks, `make bench`: what a run of the program, an update and the app cost, beside others.

What is compared is measured in turns in one run, so that the ratios say the same on another machine. Nothing here
asserts a time. Each module that __main__.py names returns a section of the page; a new comparison is such a module.
"""
