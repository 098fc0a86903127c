"""The app on its stores: what users do, and what they notice when a store stops or a migration fails."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any

import pytest
import urllib3

from tests.e2e import json_api
from tests.e2e.conftest import HOST, ROOT, eventually, kubectl, outputs, pulumi, run, running_pods, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CLIENTS = 50
SHOPS = 4
BAD_MIGRATION = ROOT / "app/internal/store/mysql/migrations/00099_bad.sql"


@dataclass
class User:
    """A user who has signed up and logged in."""

    pool: urllib3.HTTPSConnectionPool
    email: str = field(default_factory=lambda: f"e2e-{token_hex(6)}@example.com")
    password: str = field(default_factory=lambda: token_hex(12))
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self.ask("POST", "/v1/users", 201, name="Somebody", email=self.email, password=self.password)
        self.tokens = self.ask("POST", "/v1/sessions", 201, email=self.email, password=self.password)

    def ask(self, method: str, path: str, expected: int = 200, **body: Any) -> Any:
        """Send a request as this user, check the status, and return the JSON of the response."""
        return json_api.send(self.pool, self.tokens.get("accessToken", ""), method, path, expected=expected, body=body)

    def everything(self, path: str) -> list[dict[str, Any]]:
        """Return the items of all pages of a list."""
        items: list[dict[str, Any]] = []
        page = self.ask("GET", f"{path}?limit=100")
        while True:
            items += page["items"]
            if "next" not in page:
                return items
            page = self.ask("GET", page["next"])


@pytest.fixture(scope="module")
def user(api: urllib3.HTTPSConnectionPool) -> User:
    up()
    return User(api)


@pytest.fixture(scope="module")
def shop(user: User) -> dict[str, Any]:
    """Create a shop with a review."""
    created = user.ask("POST", "/v1/shops", 201, name=f"Café {token_hex(4)}", city="Graz", description="")
    user.ask("POST", f"/v1/shops/{created['id']}/reviews", 201, stars=4, text="Good coffee.")
    return created


@pytest.fixture
def stop_store() -> Generator[Callable[[str], None]]:
    """`stop_store("redis")` stops a store; it is started again when the test ends."""
    names: list[str] = []

    def stop(name: str) -> None:
        names.append(name)
        kubectl("scale", "statefulset", name, "--replicas=0")
        kubectl("wait", "--for=delete", f"pod/{name}-0", "--timeout=120s")

    yield stop
    for name in names:
        start(name)


def start(name: str) -> None:
    kubectl("scale", "statefulset", name, "--replicas=1")
    eventually(lambda: bool(kubectl("get", "pod", f"{name}-0", "-o", "name", ok=False)), 30, f"a pod of {name}")
    kubectl("wait", "--for=condition=Ready", f"pod/{name}-0", "--timeout=120s")


def test_ratings_and_likes_are_counted_in_the_background(user: User, shop: dict[str, Any]):
    [review] = user.everything(f"/v1/shops/{shop['id']}/reviews")
    for _ in range(3):
        user.ask("PUT", f"/v1/reviews/{review['id']}/like", 204)
    wanted = {"average": 4, "reviews": 1, "likes": 1}
    eventually(lambda: user.ask("GET", f"/v1/shops/{shop['id']}")["rating"] == wanted, 15, str(wanted))


def test_ten_thousand_likes_of_fifty_clients_on_three_pods_are_counted_exactly(
    edit: Callable[[str, str, str], None],
):
    edit("stacks/Pulumi.local.yaml", "autoscaling: {min: 2, max: 4}", "autoscaling: {min: 3, max: 4}")
    up()
    eventually(lambda: len(running_pods("api")) >= 3, 60, "three pods")
    kubectl("rollout", "status", "deployment/api", "--timeout=120s")
    certificate = str(ROOT / ".slipway" / "ca.crt")
    pool = urllib3.HTTPSConnectionPool(
        "127.0.0.1", 443, ca_certs=certificate, server_hostname=HOST, assert_hostname=HOST, timeout=20,
        retries=False, maxsize=CLIENTS, headers={"Host": HOST},
    )  # fmt: skip
    with ThreadPoolExecutor(CLIENTS) as clients:
        users = list(clients.map(lambda _: User(pool), range(CLIENTS)))
        shops = [users[0].ask("POST", "/v1/shops", 201, name="x", city="", description="")["id"] for _ in range(SHOPS)]
        written = clients.map(lambda u: [review(u, shop) for shop in shops], users)
        reviews = [review_id for ids in written for review_id in ids]
        assert len(reviews) * CLIENTS == 10_000
        begin = time.monotonic()
        list(
            clients.map(lambda u: [u.ask("PUT", f"/v1/reviews/{review_id}/like", 204) for review_id in reviews], users)
        )
        took = time.monotonic() - begin
    print(f"10,000 likes in {took:.0f} s, {10_000 / took:.0f}/s")

    def likes() -> list[list[int]]:
        return [[entry["likes"] for entry in users[0].everything(f"/v1/shops/{shop}/reviews")] for shop in shops]

    eventually(lambda: likes() == [[CLIENTS] * CLIENTS] * SHOPS, 60, "every review has 50 likes")
    ratings = [users[0].ask("GET", f"/v1/shops/{shop}")["rating"]["likes"] for shop in shops]
    eventually(lambda: ratings == [CLIENTS * CLIENTS] * SHOPS, 60, "every shop has 2,500 likes")


def review(user: User, shop: str) -> str:
    """Create a review, and return its id."""
    return user.ask("POST", f"/v1/shops/{shop}/reviews", 201, stars=5, text="")["id"]


def restarted(before: dict[str, int]) -> list[str]:
    """Return the pods of the API with more restarts than before. The autoscaler may add and remove pods."""
    return [name for name, restarts in running_pods("api").items() if restarts > before.get(name, 0)]


@pytest.mark.feature("G5")
def test_without_redis_no_request_fails(user: User, shop: dict[str, Any], stop_store: Callable[[str], None]):
    pods = running_pods("api")
    with Load(user.pool, f"/v1/shops/{shop['id']}") as load:
        time.sleep(2)
        stop_store("redis")
        time.sleep(5)
        start("redis")
        time.sleep(3)
    assert load.sent > 400
    assert load.lost == []
    assert restarted(pods) == []


@pytest.mark.feature("C2")
def test_without_mysql_answers_are_503_within_a_second_and_come_back_within_five(
    user: User, stop_store: Callable[[str], None]
):
    pods = running_pods("api")
    stop_store("mysql")
    slowest = 0.0
    for _ in range(30):
        begin = time.monotonic()
        answer = user.pool.request("GET", "/v1/shops")
        slowest = max(slowest, time.monotonic() - begin)
        assert answer.status == 503
        time.sleep(0.2)
    assert slowest < 1
    start("mysql")
    back = eventually(lambda: user.pool.request("GET", "/v1/shops").status == 200, 5, "the API answers again")
    print(f"without MySQL the slowest 503 took {slowest * 1000:.0f} ms; back {back:.1f} s after it was ready")
    assert restarted(pods) == []


@pytest.mark.feature("D6")
def test_a_migration_that_fails_keeps_the_former_version_and_says_why(user: User):
    before = user.pool.request("GET", "/version").json()["version"]
    BAD_MIGRATION.write_text("-- +goose Up\nALTER TABLE no_such_table ADD COLUMN x INT;\n")
    try:
        failed = pulumi("up", "--yes", "--skip-preview", ok=False)
        served = user.pool.request("GET", "/version").json()["version"]
    finally:
        BAD_MIGRATION.unlink()
    assert failed.returncode != 0
    output = failed.stdout + failed.stderr
    assert "migration 00099_bad.sql failed" in output
    assert "no_such_table" in output
    assert served == before
    up()
    pulumi("preview", "--expect-no-changes")
    assert user.pool.request("GET", "/version").json()["version"] == before


@pytest.mark.feature("H7", part="text logs of the local stack")
def test_the_logs_hold_no_password_no_token_and_no_address(user: User):
    refreshed = user.ask("POST", "/v1/sessions/refresh", refreshToken=user.tokens["refreshToken"])
    user.tokens = refreshed
    sensitive = [user.password, user.email, *(value for value in refreshed.values() if isinstance(value, str))]
    logs = kubectl("logs", "--selector=app.kubernetes.io/name=api", "--tail=-1", "--prefix")
    assert "/v1/sessions/refresh" in logs
    assert [secret for secret in sensitive if len(secret) > 6 and secret in logs] == []
    assert re.search(r"msg=request .*traceId=[0-9a-f]{32}", logs)


@pytest.mark.feature("A6", part="what is in the image")
def test_the_image_is_one_binary_and_certificates():
    repository, _, digest = outputs()["image"].partition("@")
    repository = repository.rpartition(":")[0].partition("/")[2]
    registry = urllib3.HTTPConnectionPool("127.0.0.1", 5000, timeout=10)
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    manifest = registry.request("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": accept}).json()
    files: list[str] = []
    for layer in manifest["layers"]:
        blob = registry.request("GET", f"/v2/{repository}/blobs/{layer['digest']}").data
        with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
            files += [f"/{member.name.lstrip('./')}" for member in tar if member.isfile()]
    assert sorted(files) == ["/api", "/etc/ssl/certs/ca-certificates.crt"]
    size = sum(layer["size"] for layer in manifest["layers"])
    print(f"image: {size / 2**20:.1f} MiB to pull; cold start of a pod: {cold_start():.1f} s")
    assert size < 30 * 2**20


def cold_start() -> float:
    """Return the seconds from the creation of a new pod until it is ready."""
    before = running_pods()
    kubectl("delete", "--wait=false", "pod", next(name for name in before if name.startswith("api-")))
    eventually(lambda: bool(running_pods().keys() - before.keys()), 30, "another pod")
    [name] = running_pods().keys() - before.keys()
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    newest = json.loads(kubectl("get", "pod", name, "-o", "json"))
    [ready] = [c["lastTransitionTime"] for c in newest["status"]["conditions"] if c["type"] == "Ready"]
    created, done = (datetime.fromisoformat(text) for text in (newest["metadata"]["creationTimestamp"], ready))
    return (done - created).total_seconds()


def test_data_survives_make_down_and_make_up(user: User, shop: dict[str, Any]):
    run("make", "down")
    run("make", "up")
    assert user.ask("GET", f"/v1/shops/{shop['id']}")["name"] == shop["name"]
