"""`./slipway access`: the RBAC rules of those who work with a stack, generated from what the stack declares.

What a role is allowed, and why, belongs here. How a request is sent belongs to `ops/cluster/`.
"""
