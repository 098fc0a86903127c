"""What the API server refuses although the schema allows it (SA...): names, sizes, numbers and grammars.

These rules hold in every environment and cannot be waived: an update would fail half-way. Add one when an update failed
on an object that the rules accepted. tests/e2e/program/test_api_validation.py compares them with a real API server.
"""

from slipway.rules.api_server import connections, objects, pods, workloads

RULES = [
    *objects.RULES,
    *pods.RULES,
    *workloads.RULES,
    *connections.RULES,
]
