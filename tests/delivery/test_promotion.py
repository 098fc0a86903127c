"""dev -> staging -> prod in three namespaces of the local cluster: one digest, its evidence, a bad release, its return.

A copy of examples/hello under a name of its own. Images are not signed here: `supply-chain` is overridden with a
reason, which the history has to show; tests/delivery/test_checklist_of_prod.py has it refused.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, eventually, ingress_pool, pulumi, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

STACKS = ("dev", "staging", "prod")
IMAGES = {
    "dev": "{repository: localhost:5000/promoted, builder: daemonless}",
    "staging": "{repository: localhost:5000/promoted, source: promote, from: dev}",
    "prod": "{repository: localhost:5000/promoted, source: promote, from: staging}",
}
STACK_FILE = """\
config:
  slipway:cluster: {{context: slipway-local}}
  slipway:namespace: promoted-{stack}
  slipway:secretFiles: .slipway/secrets
  slipway:images:
    hello: {image}
  slipway:service: {{startupSeconds: 5, progressSeconds: 30}}
  slipway:services:
    hello:
      autoscaling: {{min: 2, max: 3}}
      resources: {{cpu: 20m, memory: 32Mi}}
      ingress: {{host: promoted-{stack}.slipway.localhost, className: traefik, tls: {{secretFiles: true}}}}
"""
FROZEN = "  slipway:freeze: [{reason: the year is over, lastDay: 2999-12-31}]\n"
UNSIGNED = "images of this test are not signed"
IDENTITY = ("-c", "user.name=Jane Doe", "-c", "user.email=jane@example.com")


@dataclass(frozen=True)
class Shop:
    """The project, with one commit for each version of its app."""

    folder: Path

    def slipway(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the CLI of this clone in the project."""
        return run(str(ROOT / "slipway"), *arguments, cwd=self.folder, ok=ok)

    def promote(self, source: str, target: str, *options: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Promote without the evidence of the supply chain."""
        reason = f"supply-chain={UNSIGNED}"
        return self.slipway("promote", source, target, "--yes", "--override", reason, *options, ok=ok)

    def release(self, greeting: str) -> str:
        """Change what the app answers, commit it, and deploy it to dev. Return the commit."""
        file = self.folder / "app" / "main.go"
        file.write_text(re.sub(r'"%s, [^!]*%s!\\n"', f'"%s, {greeting} %s!\\\\n"', file.read_text()))
        self.commit(greeting)
        self.slipway("up", "-s", "dev", "--yes")
        return run("git", "rev-parse", "--short=8", "HEAD", cwd=self.folder).stdout.strip()

    def commit(self, subject: str) -> None:
        """Commit everything."""
        run("git", "add", "--all", ".", cwd=self.folder)
        run("git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", subject, cwd=self.folder)

    def stack_file(self, stack: str, extra: str = "") -> None:
        """Write the file of a stack, with further lines, and with the salt that the engine has added."""
        file = self.folder / "stacks" / f"Pulumi.{stack}.yaml"
        salt = re.findall(r"^encryptionsalt: .*\n", file.read_text(), re.MULTILINE)
        file.write_text("".join(salt) + STACK_FILE.format(stack=stack, image=IMAGES[stack]) + extra)

    def in_force(self, stack: str) -> dict[str, Any]:
        """Return the row of the release in force in the history."""
        rows = json.loads(self.slipway("history", "-s", stack, "--json").stdout)["history"]
        [row] = [row for row in rows if row["inForce"]]
        return row

    def image(self, stack: str) -> str:
        """Return what the Deployment of a stack runs."""
        where = ("--context", "slipway-local", "-n", f"promoted-{stack}")
        path = "jsonpath={.spec.template.spec.containers[0].image}"
        return run("kubectl", *where, "get", "deployment", "hello", "-o", path).stdout

    def answer(self, stack: str) -> str:
        """Return what users get."""
        with ingress_pool(f"promoted-{stack}.slipway.localhost") as pool:
            return pool.request("GET", "/hello/Ada").data.decode().strip()

    def evidence(self, done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
        """Return state and reason of each item of `promote --json`."""
        return {row["item"]: (row["state"], row["why"]) for row in json.loads(done.stdout)["evidence"]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Shop]:
    """The project and its three stacks, which are destroyed at the end."""
    shop = Shop(tmp_path_factory.mktemp("promotion") / "promoted")
    shutil.copytree(ROOT / "examples" / "hello", shop.folder, ignore=shutil.ignore_patterns(".slipway", "__pycache__"))
    (shop.folder / ".slipway").symlink_to(ROOT / ".slipway")
    description = shop.folder / "Pulumi.yaml"
    description.write_text(description.read_text().replace("name: hello", "name: promoted", 1))
    (shop.folder / ".gitignore").write_text(".slipway\n__pycache__/\n")
    (shop.folder / "stacks" / "Pulumi.local.yaml").unlink()
    run("git", "init", "--quiet", cwd=shop.folder)
    run("git", "config", "user.name", "Jane Doe", cwd=shop.folder)
    for stack in STACKS:
        (shop.folder / "stacks" / f"Pulumi.{stack}.yaml").write_text("")
        shop.stack_file(stack)
        pulumi("stack", "init", "--no-select", "-s", stack, cwd=shop.folder)
    # The engine writes its salt into the stack files; with that they are committed.
    shop.commit("the project")
    try:
        yield shop
    finally:
        for stack in reversed(STACKS):
            run("pulumi", "state", "unprotect", "--all", "--yes", "-s", stack, cwd=shop.folder, ok=False)
            pulumi("destroy", "--yes", "--skip-preview", "-s", stack, cwd=shop.folder)
            pulumi("stack", "rm", "--yes", "--preserve-config", "-s", stack, cwd=shop.folder)


@pytest.mark.feature("J2", part="on the cluster: dev, staging and prod run one digest")
def test_one_digest_moves_from_dev_to_prod(shop: Shop):
    commit = shop.release("dear")
    built = shop.image("dev")
    record = f"release-{shop.in_force('dev')['revision']}"
    where = ("--context", "slipway-local", "-n", "promoted-dev")
    noted = json.loads(run("kubectl", *where, "get", "configmap", record, "-o", "json").stdout)["metadata"][
        "annotations"
    ]
    assert "slipway/first-request" in noted

    refused = shop.slipway("promote", "dev", "staging", "--preview", "--json", ok=False)
    assert refused.returncode == 2
    assert {item for item, (state, _) in shop.evidence(refused).items() if state == "refused"} == {"supply-chain"}

    for source, target in (("dev", "staging"), ("staging", "prod")):
        shop.promote(source, target)
        row = shop.in_force(target)
        assert (row["imageCommit"], row["overrides"]) == (commit, {"supply-chain": UNSIGNED})
        assert row["message"] == f"promotion from {source} · supply-chain overridden: {UNSIGNED}"
    assert {shop.image(stack) for stack in STACKS} == {built}
    eventually(lambda: shop.answer("prod") == "Good morning, dear Ada!", 30, "prod serves it")
    planned = json.loads(pulumi("preview", "--json", "-s", "prod", cwd=shop.folder).stdout)["steps"]
    assert [step["urn"] for step in planned if "docker:" in step["urn"]] == []


@pytest.mark.feature("J2", part="on the cluster: without a rehearsal nothing moves to prod, with one it does")
def test_the_next_digest_needs_a_rehearsal_of_the_rollback_from_it(shop: Shop):
    before = shop.image("prod")
    shop.release("dearest")
    shop.promote("dev", "staging")
    refused = shop.promote("staging", "prod", "--json", ok=False)
    assert refused.returncode == 2
    state, why = shop.evidence(refused)["rehearsal"]
    [command] = re.findall(r"\./slipway (rollback \w+ --rehearse -s staging)", why)
    assert (state, shop.image("prod")) == ("refused", before)

    staged = shop.image("staging")
    shop.slipway(*command.split(), "--yes")
    assert shop.image("staging") == staged
    shop.promote("staging", "prod")
    assert shop.image("prod") == staged != before
    eventually(lambda: shop.answer("prod") == "Good morning, dearest Ada!", 30, "prod serves it")


@pytest.mark.feature("P3", part="on the cluster: a freeze refuses updates, and a rollback passes")
def test_within_a_freeze_window_only_a_rollback_passes(shop: Shop):
    running = shop.image("prod")
    shop.stack_file("prod", FROZEN)
    updated = shop.slipway("up", "-s", "prod", "--yes", ok=False)
    assert (updated.returncode, "frozen: the year is over, until further notice" in updated.stderr) == (1, True)
    shop.slipway("rollback", "-s", "prod", "--yes")
    assert shop.image("prod") != running
    refused = shop.promote("staging", "prod", "--json", ok=False)
    assert (refused.returncode, shop.evidence(refused)["freeze"][0]) == (2, "refused")
    shop.promote("staging", "prod", "--override", "freeze=ticket 17")
    assert shop.image("prod") == running
    assert shop.in_force("prod")["overrides"]["freeze"] == "ticket 17"
    shop.stack_file("prod")


@pytest.mark.feature("J2", part="on the cluster: a promotion that fails in prod is rolled back")
def test_a_release_that_fails_in_prod_returns_to_the_digest_before(shop: Shop):
    running = shop.image("prod")
    shop.release("most esteemed")
    shop.promote("dev", "staging")
    former = next(
        row["revision"]
        for row in json.loads(shop.slipway("history", "-s", "staging", "--json").stdout)["history"]
        if row["images"].get("hello") == running
    )
    shop.slipway("rollback", former, "--rehearse", "-s", "staging", "--yes")
    shop.stack_file("prod", '      env: {PORT: "9999"}\n')  # where nobody asks whether it is ready
    failed = shop.promote("staging", "prod", ok=False)
    assert failed.returncode == 1
    assert "is in force again. The update failed." in failed.stderr
    assert shop.image("prod") == running
    eventually(lambda: shop.answer("prod") == "Good morning, dearest Ada!", 30, "prod serves the release before")
    shop.stack_file("prod")


@pytest.mark.feature("J2", part="on the cluster: what runs where, and the figures")
def test_the_history_of_all_stacks_and_the_figures_of_prod_tell_of_it(shop: Shop):
    shown = json.loads(shop.slipway("history", "--all", "--json").stdout)
    assert {row["stack"]: row["images"]["hello"] for row in shown["stacks"]} == {s: shop.image(s) for s in STACKS}
    assert {row["by"] for row in shown["stacks"]} == {"Jane Doe"}
    assert shown["unknown"] == []
    figures = json.loads(shop.slipway("history", "--figures", "-s", "prod", "--json").stdout)
    # The second of four promotions was rolled back by hand, the last one by itself.
    assert (figures["deployments"], figures["failedDeployments"], figures["changeFailureRate"]) == (4, 2, 0.5)
    assert figures["restoreMinutes"] > 0
    assert figures["leadTimeHours"] < 1
