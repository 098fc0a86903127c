"""The checks of the checklist that concern the images and the moment: what ran where, and whether it may move now."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.image.reference import parts
from slipway.objects import Object, dig
from slipway.ops.delivery.checklist import Finding
from slipway.ops.delivery.plan import PromotionPlan
from slipway.ops.delivery.stack_state import StackState
from slipway.ops.monitoring import gate
from slipway.ops.monitoring.gate import BudgetBurntError
from slipway.ops.releases import freeze
from slipway.ops.releases.trials import first_request
from slipway.ops.supply_chain import evidence as supply_chain


def recorded(plan: PromotionPlan) -> Finding:
    """Find out whether the images are those that the recorded release of the source runs."""
    source, release = plan.source, plan.source.in_force
    assert release  # noqa: S101 - the plan has made sure
    if problems := [*_outputs(plan), *_record(source), *_pods(source)]:
        return Finding(False, "; ".join(problems))
    return Finding(True, f"release {release.revision} of {source.stack} runs them, since {release.at or 'long ago'}")


def _outputs(plan: PromotionPlan) -> Iterator[str]:
    """Yield the images whose digests another stack would take over, and which are not those of the record."""
    for name, reference in plan.images.items():
        exported = plan.source.images.get(name, "")
        if exported != reference:
            yield f"{name}: the outputs of {plan.source.stack} name {short(exported)}, the record {short(reference)}"


def _record(source: StackState) -> Iterator[str]:
    release, record = source.in_force, source.record
    if record is None:
        yield f"the cluster of {source.stack} has no record of release {release and release.revision}"
    elif release and record.images != release.images:
        yield f"the record of release {record.revision} in the cluster names other images than the engine's state"


def _pods(source: StackState) -> Iterator[str]:
    """Yield the services whose Deployment has another image than the release."""
    release = source.in_force
    images = release.images if release else {}
    deployments = {dig(found, "metadata.name"): found for found in source.cluster.items("deployments")}
    for service in source.settings.services:
        expected = images.get(source.settings.image_of(service))
        if release and expected and service in release.settings.get("services", {}):
            running = _containers(deployments.get(service) or {})
            if expected not in running:
                yield f"Deployment/{service} runs {', '.join(map(short, running)) or 'nothing'}, not {short(expected)}"


def _containers(deployment: Object) -> list[str]:
    return [container["image"] for container in dig(deployment, "spec.template.spec.containers") or []]


def answered(plan: PromotionPlan) -> Finding:
    """Find out whether the services of the source answered the first requests to that release."""
    record = plan.source.record
    # A rollback brings a record back to life, with the note of its former days.
    if record and record.first_request and record.first_request >= record.at:
        return Finding(True, f"answered in {plan.source.stack} at {record.first_request}")
    if problems := first_request.send(plan.source.settings):
        return Finding(False, f"not answered in {plan.source.stack}: {'; '.join(problems)}")
    return Finding(True, f"answered in {plan.source.stack} just now")


def within_budget(plan: PromotionPlan) -> Finding:
    """Find out whether the error budgets of the target allow an update."""
    if plan.target.in_force is None:
        return Finding(True, f"{plan.target.stack} runs nothing yet")
    try:
        gate.check(plan.target.stack, must_be_read=True)
    except BudgetBurntError as error:
        return Finding(False, str(error).splitlines()[0].partition(": ")[2].removesuffix("; nothing was changed."))
    return Finding(True, "no error budget in the way is burnt")


def not_frozen(plan: PromotionPlan) -> Finding:
    """Find out whether a freeze window of the target holds."""
    frozen = freeze.describe(plan.target.settings.freeze)
    return Finding(not frozen, f"frozen: {frozen}" if frozen else "no freeze window holds now")


def verified(plan: PromotionPlan) -> Finding:
    """Find out whether signature, SBOM, scan and provenance of each image are what the target demands."""
    found = supply_chain.problems(plan.target.stack, plan.images)
    return Finding(not found, "; ".join(found) or "signature, SBOM, scan and provenance are verified")


def short(reference: str) -> str:
    """Return the tag and the start of the digest of an image; `nothing` for none."""
    _, tag, digest = parts(reference)
    return f"{tag} {digest[:19]}".strip() or "nothing"
