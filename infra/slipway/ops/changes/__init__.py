"""What a change would do to each environment (`./slipway preview` and `diff`).

The objects of a stack before and after (`stack_models`), their differences (`comparison`), the classes of each change
(`classify`, with `security`, `exposure` and `capacity`), and what an environment forbids (`verdict`). Add code here if
it says something about a change; what is wrong with an object as such is a house rule.
"""
