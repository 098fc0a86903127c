"""`./slipway stacks --matrix`: the stacks as matrices of jobs, so that no workflow has a list of environments.

Prints a line for all stacks, and one for each tier, as a step writes them to $GITHUB_OUTPUT; keys are only ever added:

    all=[{"stack": "dev", "tier": "dev", "from": ""}, {"stack": "prod", "tier": "prod", "from": "dev"}]
    dev=[{"stack": "dev", "tier": "dev", "from": ""}]
    staging=[]
    prod=[{"stack": "prod", "tier": "prod", "from": "dev"}]

`from` is the stack whose images this one runs (`source: promote`); empty if it builds them, or names them by digest.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from slipway.ops.errors import UserError
from slipway.ops.program import config, recorder
from slipway.settings.stack_file import stack_tier
from slipway.settings.tiers import TIERS


def text(without: Collection[str] = ()) -> str:
    """Return the lines. Raises UserError for a tier that does not exist, and what a wrong stack file raises."""
    jobs = [
        {"stack": name, "tier": stack_tier(name).name, "from": promoted_from(name)} for name in recorder.stacks(without)
    ]
    tiers = {tier: [job for job in jobs if job["tier"] == tier] for tier in TIERS if tier not in without}
    return "".join(f"{name}={json.dumps(value)}\n" for name, value in {"all": jobs, **tiers}.items())


def promoted_from(stack: str) -> str:
    """Return the stack whose images this one runs; empty for none."""
    sources = sorted({image.from_ for image in config.settings(stack).images.values() if image.from_})
    if len(sources) > 1:
        raise UserError(
            f"{stack} runs images of {' and '.join(sources)}, and a job promotes from one stack. Fix: give all its "
            f"images the same `from` in stacks/Pulumi.{stack}.yaml"
        )
    return sources[0] if sources else ""
