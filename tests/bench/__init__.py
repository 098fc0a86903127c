"""Benchmarks, `make bench`: what a run of the program and a verb of `./slipway` cost.

What is compared is measured in turns in one run, so that the ratios say the same on another machine. Nothing here
asserts a time. starts.py, growth.py and engine.py each return a section of the page; a new comparison is such a module.
"""
