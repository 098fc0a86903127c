"""Check and complete what the program passes in: options of the provider, and inputs of each object."""

import hashlib
import os
from typing import Any, cast

from pulumi.provider.experimental.provider import CheckFailure, CheckRequest

from local.plugins.kubernetes.kinds import Kind
from local.plugins.kubernetes.objects import annotation
from local.plugins.kubernetes.secrets import is_secret, to_base64
from local.plugins.provider import Properties, plain, without_nulls
from slipway.objects import UNKNOWN, Object, mapping, name_of

AUTONAMED = "pulumi.com/autonamed"
DELETION_POLICY = "pulumi.com/deletionPropagationPolicy"
FIELD_MANAGER = "pulumi.com/patchFieldManager"
FORCE = "pulumi.com/patchForce"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT = "pulumi.com/timeoutSeconds"
_ANNOTATIONS = {AUTONAMED, DELETION_POLICY, FIELD_MANAGER, FORCE, SKIP_AWAIT, TIMEOUT}

_OPTIONS = {
    "kubeconfig",
    "context",
    "namespace",
    "clusterIdentifier",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",
    "enablePatchForce",
    "upsertExistingObjects",
}
_UPSERT_VARIABLE = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
_DEFAULT_TIMEOUT_SECONDS = 600.0


class Options(dict[str, Any]):
    """The options of the provider, as the program set them."""

    def is_on(self, option: str) -> bool:
        # The Python SDK sends booleans as JSON text.
        return self.get(option) in (True, "true")

    @property
    def upsert(self) -> bool:
        """Whether to take over existing objects: the option decides, and the environment where it is not set."""
        option = "upsertExistingObjects"
        return self.is_on(option) if option in self else os.environ.get(_UPSERT_VARIABLE) == "true"


def check_options(properties: Properties) -> list[CheckFailure]:
    """Return the options that the plugin does not support, with the reason."""
    unknown = sorted(set(properties) - _OPTIONS - {"version", "pluginDownloadURL"})
    reason = f"not an option of the offline kubernetes plugin, which supports {', '.join(sorted(_OPTIONS))}"
    failures = [CheckFailure(option, reason) for option in unknown]
    if plain(properties).get("enableServerSideApply") in (False, "false"):
        reason = "the offline kubernetes plugin always uses server-side apply"
        failures.append(CheckFailure("enableServerSideApply", reason))
    return failures


def normalized(kind: Kind, properties: Properties) -> Object:
    """Return the object that the inputs declare, in the form in which later deployments compare it."""
    desired: Object = without_nulls(plain(properties))
    desired |= {"apiVersion": kind.api_version, "kind": kind.name}
    if is_secret(kind) and desired.get("stringData") != UNKNOWN:
        desired = _with_encoded_data(desired)
    desired.setdefault("metadata", {})
    return desired


def _with_encoded_data(secret: Object) -> Object:
    """Move `stringData` into `data` as base64, the only form that the API server keeps."""
    texts = mapping(secret, "stringData")
    encoded = {key: text if text == UNKNOWN else to_base64(str(text)) for key, text in texts.items()}
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    return rest | {"data": mapping(secret, "data") | encoded} if encoded else rest


def check_metadata(metadata: Object) -> list[CheckFailure]:
    """Return what the metadata asks for and the plugin would otherwise ignore silently."""
    failures: list[CheckFailure] = []
    if "generateName" in metadata:
        reason = "not possible with server-side apply; leave out the name instead"
        failures.append(CheckFailure("metadata.generateName", reason))
    annotations: Any = metadata.get("annotations")
    for key in cast("Object", annotations) if isinstance(annotations, dict) else ():
        if key.startswith("pulumi.com/") and key not in _ANNOTATIONS:
            reason = f"{key} is not supported by the offline kubernetes plugin"
            failures.append(CheckFailure("metadata.annotations", reason))
    return failures


def generate_name(metadata: Object, request: CheckRequest) -> None:
    """Name the object after the resource, with a random suffix, and keep that name until the object is replaced."""
    before = plain(request.old_inputs)
    if annotation(before, AUTONAMED) == "true":
        metadata["name"] = name_of(before)
    else:
        metadata["name"] = f"{request.name}-{hashlib.sha256(request.random_seed).hexdigest()[:8]}"
    annotations: Any = metadata.setdefault("annotations", {})
    if annotations != UNKNOWN:
        annotations[AUTONAMED] = "true"


def has_same_fixed_name(old: Object, new: Object) -> bool:
    """Return whether the new object cannot exist beside the old one: both have one name, which the program chose."""
    before, after = old["metadata"], new["metadata"]
    same = (before.get("namespace"), before.get("name")) == (after.get("namespace"), after.get("name"))
    return same and annotation(new, AUTONAMED) != "true"


def timeout_seconds(custom_timeout: float, obj: Object) -> float:
    """Return how long to wait: the resource option customTimeouts, else the annotation, else ten minutes."""
    text = annotation(obj, TIMEOUT)
    return custom_timeout or (float(text) if text.isdecimal() else _DEFAULT_TIMEOUT_SECONDS)
