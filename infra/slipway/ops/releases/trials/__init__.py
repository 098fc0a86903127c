"""Trials of a release in force: the first requests to it, and the rehearsal of a rollback from it.

What they prove is noted on the record of the release, where ops/delivery looks for it.
"""
