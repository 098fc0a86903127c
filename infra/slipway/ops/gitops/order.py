"""The order in which a controller applies a stack: in phases, each of which waits until the one before is healthy.

It is the order of `pulumi up`, made coarse: controllers know no dependencies between single objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.ops.program.recorder import Declared

ENVIRONMENT, STORES, MIGRATIONS, SERVICES = PHASES = ("environment", "stores", "migrations", "services")
"""The namespace with its policies and all configuration; MySQL and Redis; what updates schemas; everything else."""

_EARLIEST = {
    "StatefulSet": STORES,
    "Job": MIGRATIONS,
    # A schedule may need the new schema.
    "CronJob": SERVICES,
    "Deployment": SERVICES,
    # Without the pods that it protects, a budget never becomes healthy.
    "PodDisruptionBudget": SERVICES,
}
_CLAIM = "PersistentVolumeClaim"


def phases(resources: Sequence[Declared]) -> dict[str, str]:
    """Return the phase of each object, by URN.

    It is that of its kind, or that of the latest object it depends on. A claim comes with the first object that uses
    it: many storage classes bind it only then, and until then it is not healthy.
    """
    by_urn = {resource.urn: resource for resource in resources}
    numbers: dict[str, int] = {}

    def number(urn: str) -> int:
        if urn not in numbers:
            own = PHASES.index(_EARLIEST.get(by_urn[urn].kind, ENVIRONMENT))
            numbers[urn] = max([own, *map(number, _dependencies(by_urn[urn], by_urn))])
        return numbers[urn]

    found = {urn: number(urn) for urn in by_urn}
    for urn, resource in by_urn.items():
        if resource.kind == _CLAIM:
            users = [found[user] for user in by_urn if urn in _dependencies(by_urn[user], by_urn)]
            found[urn] = min(users, default=PHASES.index(SERVICES))
    return {urn: PHASES[position] for urn, position in found.items()}


def _dependencies(resource: Declared, by_urn: Mapping[str, Declared]) -> list[str]:
    return [urn for urn in resource.options["depends_on"] if urn in by_urn]
