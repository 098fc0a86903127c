"""What the house requires of objects beyond what Kubernetes does (SW...), by subject.

Add a rule here if an object is valid without it, and something would go wrong all the same.
"""

from slipway.rules.required import (
    addresses,
    advice,
    configuration,
    connections,
    jobs,
    namespaces,
    pod_inputs,
    pod_lifecycle,
    pod_security,
    scaling,
)

RULES = [
    *pod_security.RULES,
    *pod_lifecycle.RULES,
    *pod_inputs.RULES,
    *jobs.RULES,
    *scaling.RULES,
    *addresses.RULES,
    *configuration.RULES,
    *namespaces.RULES,
    *connections.RULES,
    *advice.RULES,
]
