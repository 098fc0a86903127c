"""Verbs that change a stack: update, canary, rollback, adoption, backup and removal, and the history of them.

Code belongs here if it starts an update or a Job, or reads the records of former ones. What a change would do is in
ops/changes, what is wrong in ops/diagnosis.
"""
