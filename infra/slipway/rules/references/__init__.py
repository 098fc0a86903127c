"""References between the objects of a stack lead somewhere (SR...).

A schema cannot see a wrong name, and the cluster reports it late or never: a Service without pods is a valid Service.
Add a rule here if an object names another one, or has to agree with it.
"""

from slipway.rules.references import configuration, connections, consistency, services

RULES = [
    *connections.RULES,
    *services.RULES,
    *configuration.RULES,
    *consistency.RULES,
]
