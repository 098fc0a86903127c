"""`slipway init` writes a project that renders, passes its own tests, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.ops.project.init import ProjectError, Wishes, create
from tests.package import projects
from tests.paths import REPOSITORY

PINNED = "docker.io/library/nginx:1.29@sha256:" + "1" * 64


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was written for a Go service with a Dockerfile."""
    folder = projects.go_service(tmp_path_factory.mktemp("init") / "shop")
    create(folder, Wishes(registry="registry.example.com/team"))
    return folder


def settings(folder: Path, file: str) -> dict[str, object]:
    return yaml.safe_load((folder / "stacks" / file).read_text())["config"]


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_every_stack_renders_unedited(shop: Path, stack: str):
    done = projects.slipway(shop, "render", "-s", stack)
    assert done.returncode == 0, done.stderr
    assert "containerPort: 8000" in done.stdout
    assert "path: /healthz" in done.stdout
    assert "runAsUser: 12345" in done.stdout


def test_its_own_tests_pass_unedited(shop: Path):
    done = projects.run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_my_stacks.py")
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_a_changed_object_is_seen_and_an_edit_of_the_sources_is_none(shop: Path):
    file = shop / "stacks" / "Pulumi.dev.yaml"
    before = file.read_text()
    (shop / "main.go").write_text(projects.GO_SERVICE + "// edited\n")
    file.write_text(before.replace("max: 2", "max: 3"))
    done = projects.slipway(shop, "check")
    file.write_text(before)
    assert done.returncode == 1
    assert "+  maxReplicas: 3" in done.stdout
    assert [line for line in done.stderr.splitlines() if line.endswith("objects, no problem")] == [
        "local: 13 objects, no problem",
        "prod: 14 objects, no problem",
    ]


def test_the_yaml_that_somebody_has_to_read_fits_on_a_screen(shop: Path):
    lines = [
        line
        for file in ("defaults.yaml", "Pulumi.local.yaml")
        for line in (shop / "stacks" / file).read_text().splitlines()
        if not line.startswith("#")
    ]
    assert len(lines) <= 30


def test_its_tests_are_those_of_this_repository(shop: Path):
    file = Path("tests") / "test_my_stacks.py"
    assert (shop / file).read_text() == (REPOSITORY / file).read_text()


def test_the_program_is_at_most_ten_lines(shop: Path):
    assert len((shop / "infra" / "__main__.py").read_text().splitlines()) <= 10


def test_nothing_is_overwritten(shop: Path):
    with pytest.raises(ProjectError, match=r"has Pulumi\.yaml, .* already, and nothing is overwritten"):
        create(shop, Wishes())


def test_what_an_app_has_already_is_left_alone(tmp_path: Path):
    files = {"requirements.txt": "flask\n", "README.md": "# Mine\n", "app.py": "Flask(port=5000)\n", ".gitignore": "x"}
    folder = projects.write(tmp_path / "shop", {**files, "Dockerfile": "FROM python\n"})
    create(folder, Wishes())
    assert (folder / "requirements.txt").read_text() == "flask\n"
    assert (folder / "README.md").read_text() == "# Mine\n"
    assert "slipway[test] @ " in (folder / "infra" / "requirements.txt").read_text()
    assert (folder / ".gitignore").read_text().startswith("x\n.slipway/\n")


def test_an_image_of_others_needs_no_sources(tmp_path: Path):
    create(tmp_path, Wishes(name="nginx", image=PINNED, port=8081, health="/"))
    assert "slipway:images" not in settings(tmp_path, "defaults.yaml")
    done = projects.slipway(tmp_path, "render", "-s", "prod")
    assert PINNED in done.stdout
    assert "containerPort: 8081" in done.stdout


def test_two_folders_are_two_images_and_the_one_that_is_called_has_no_address(tmp_path: Path):
    projects.go_service(tmp_path / "prices")
    projects.go_service(tmp_path / "shop")
    caller = 'package main\n\nimport "os"\n\nvar prices = os.Getenv("PRICES_URL")\n'
    projects.write(tmp_path / "shop", {"prices.go": caller})
    create(tmp_path, Wishes(name="market"))
    rendered = projects.slipway(tmp_path, "render", "-s", "dev").stdout
    assert "registry.example.com/prices:src-" in rendered
    assert "registry.example.com/shop:src-" in rendered
    hosts = [
        rule["host"] for o in yaml.safe_load_all(rendered) if o["kind"] == "Ingress" for rule in o["spec"]["rules"]
    ]
    assert hosts == ["shop.dev.example.com"]


def test_the_certificate_of_the_local_cluster_is_used_where_it_is_known(tmp_path: Path):
    certificates = projects.write(tmp_path / "clone" / "secrets", {"tls.crt": "", "tls.key": ""})
    folder = projects.go_service(tmp_path / "shop")
    create(folder, Wishes(certificates=certificates))
    assert settings(folder, "Pulumi.local.yaml")["slipway:secretFiles"] == "../clone/secrets"


def test_what_is_asked_for_on_a_terminal_takes_the_place_of_a_guess(tmp_path: Path):
    answers = {"port of its HTTP requests": "9000", "path that answers 200": "tcp"}
    folder = projects.go_service(tmp_path / "shop")
    create(folder, Wishes(), lambda question, _: next(a for part, a in answers.items() if part in question))
    service = settings(folder, "defaults.yaml")["slipway:services"]["shop"]  # pyright: ignore[reportIndexIssue]
    assert service["ports"] == {"http": 9000}
    assert service["probes"] == {"ready": {"tcp": True}, "shared": True}
    assert service["env"] == {"PORT": "9000"}


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(), "has no Dockerfile and no Go module"),
        (Wishes(image="nginx:1.29"), "name it by digest"),
        (Wishes(name="Shop"), "take lower case letters"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_there(tmp_path: Path, wishes: Wishes, message: str):
    with pytest.raises(ProjectError, match=message):
        create(tmp_path, wishes)
    assert list(tmp_path.iterdir()) == []
