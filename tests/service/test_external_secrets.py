"""Secrets from an external store are read once for each version, and stay while a revision may need them."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from lightkube import ApiError, Client
from lightkube.config import models
from lightkube.config.kubeconfig import KubeConfig

from slipway.service import external_secrets
from tests.conftest import WITHOUT_STORES, Changed

VAULT = {"name": "vault", "entries": "maps", "path": "slipway/dev"}


def spec(changed: Changed, **store: Any) -> dict[str, Any]:
    program = changed("dev", {**WITHOUT_STORES, "secretStore": {**VAULT, **store}})
    return program.manifests()["ExternalSecret", "api-secret"]["spec"]


@pytest.mark.parametrize(
    ("store", "reference"),
    [
        ({"entries": "values"}, {"key": "slipway/dev/signing-key"}),
        ({}, {"key": "slipway/dev/signing-key", "property": "value"}),
        ({"property": "content"}, {"key": "slipway/dev/signing-key", "property": "content"}),
        ({"entries": "one-map"}, {"key": "slipway/dev", "property": "signing-key"}),
        (
            {"versions": {"signing-key": "3"}},
            {"key": "slipway/dev/signing-key", "property": "value", "version": "3"},
        ),
    ],
    ids=str,
)
def test_one_property_of_an_entry_that_is_a_map_is_the_secret(
    changed: Changed, store: dict[str, Any], reference: dict[str, str]
):
    """Without a property Vault would return the whole map as JSON."""
    assert spec(changed, **store)["data"] == [{"secretKey": "signing-key", "remoteRef": reference}]


def test_a_secret_does_not_change_under_the_pods_that_read_it(changed: Changed):
    order = spec(changed)
    assert order["refreshPolicy"] == "CreatedOnce"
    assert "refreshInterval" not in order
    assert order["target"]["immutable"] is True


@pytest.mark.parametrize("change", [{"rotation": "2027-01-31"}, {"versions": {"signing-key": "2"}}, {"property": "b"}])
def test_a_rotation_is_another_object_and_rolls_the_pods(changed: Changed, change: dict[str, Any]):
    before, after = (spec(changed, **store)["target"]["name"] for store in ({}, change))
    assert before != after


def test_a_superseded_external_secret_stays_for_a_rollback(changed: Changed):
    program = changed("dev", {**WITHOUT_STORES, "secretStore": VAULT})
    [order] = [resource for resource in program.resources if resource.kind == "ExternalSecret"]
    assert order.options["retain_on_delete"]
    assert order.options["provider"].split("::")[-2] == "retained"


class Server:
    """An API server with these ExternalSecrets, or one that answers with an error."""

    def __init__(self, names: list[str], status: int = 200) -> None:
        self.names, self.status, self.deleted = names, status, list[str]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.status != 200:
            return httpx2.Response(self.status, json={"kind": "Status", "code": self.status, "message": "no"})
        if request.method == "DELETE":
            self.deleted.append(request.url.path.rpartition("/")[2])
            return httpx2.Response(200, json={})
        items = [{"metadata": {"name": name}} for name in self.names]
        return httpx2.Response(200, json={"items": items, "metadata": {}})

    def client(self) -> Client:
        server = models.Cluster(server="https://10.0.0.1", insecure=True)
        config = KubeConfig.from_one(cluster=server, user=models.User(token="none"))
        return Client(config, namespace="slipway-dev", transport=httpx2.MockTransport(self))


def test_external_secrets_whose_secret_no_revision_refers_to_are_deleted():
    server = Server(["api-secret-0000aaaa", "api-secret-1111bbbb", "of-somebody-else"])
    external_secrets.delete_superseded(server.client(), {}, {"api-secret-1111bbbb"})
    assert server.deleted == ["api-secret-0000aaaa"]


@pytest.mark.parametrize("status", [403, 404])
def test_where_the_operator_is_not_installed_there_is_nothing_to_delete(status: int):
    server = Server([], status)
    external_secrets.delete_superseded(server.client(), {}, set())
    assert server.deleted == []


def test_any_other_error_of_the_api_server_is_raised():
    with pytest.raises(ApiError):
        external_secrets.delete_superseded(Server([], 500).client(), {}, set())
