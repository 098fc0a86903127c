"""A prefix that Traefik strips by a Middleware. The local Traefik does not know its own kinds by default."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
import urllib3

from tests.e2e.conftest import LOCAL, ROOT, Edit, eventually, pulumi, run, up
from tests.neighbours.test_gateway import ingress_kubectl, restart_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

GROUP = "traefik.io"
TRAEFIK = "github.com/traefik/traefik/v3"
HOST = "        host: api.slipway.localhost\n"
STRIPPED = f"{HOST}        path: /shop\n        stripPrefix: true\n"
ROLE = "slipway:traefik-kinds"


def definitions() -> list[Path]:
    """Return the files with the definitions of Traefik's kinds, of the version that the local Traefik is built from."""
    downloaded = run("go", "mod", "download", "-json", TRAEFIK, cwd=ROOT / "local" / "ingress").stdout
    folder = Path(json.loads(downloaded)["Dir"]) / "docs/content/reference/dynamic-configuration"
    return sorted(folder.glob(f"{GROUP}_*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def traefik_kinds() -> Generator[None]:
    """Let Traefik read objects of its own kinds; after the tests it gets its former arguments."""
    up()
    before = json.loads(ingress_kubectl("get", "deployment", "traefik", "-o", "json"))
    arguments = before["spec"]["template"]["spec"]["containers"][0]["args"]
    files = [f"--filename={file}" for file in definitions()]
    ingress_kubectl("apply", "--server-side", *files)
    try:
        kinds = ["configmaps", *(f"{file.stem.removeprefix(f'{GROUP}_')}.{GROUP}" for file in definitions())]
        ingress_kubectl("create", "clusterrole", ROLE, "--verb=get,list,watch", f"--resource={','.join(kinds)}")
        account = "--serviceaccount=ingress:traefik"
        ingress_kubectl("create", "clusterrolebinding", ROLE, f"--clusterrole={ROLE}", account)
        restart_with([*arguments, "--providers.kubernetescrd=true"])
        yield
    finally:
        up()
        restart_with(arguments)
        for kind in ("clusterrolebinding", "clusterrole"):
            ingress_kubectl("delete", kind, ROLE, "--ignore-not-found")
        ingress_kubectl("delete", "--ignore-not-found", *files)


@pytest.mark.feature("E1", part="Traefik strips a prefix, for real")
def test_the_app_gets_the_path_without_the_prefix_and_nothing_else_is_served(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    def status(path: str) -> int:
        return api.request("GET", path).status

    edit(LOCAL, HOST, STRIPPED)
    up()
    eventually(lambda: status("/shop/v1/shops") == 200, 30, "the prefix is stripped")
    assert status("/v1/shops") == 404
    assert status("/shopping/v1/shops") == 404
    pulumi("preview", "--expect-no-changes")
    edit(LOCAL, STRIPPED, HOST)
    up()
    eventually(lambda: status("/v1/shops") == 200, 30, "the path is the app's own again")
