"""The house rules: what every object of every stack must satisfy, and where the program checks it.

A rule is a function with an id, a title and a reason, in one of three packages: `required`, `references` or
`api_server`. `parts.py` and `stack.py` are how rules read objects, `house_rules.py` runs all rules, and
`enforcement.py` does so in each run of the program. Add code here only if it is about checking declared objects.
"""
