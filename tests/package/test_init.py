"""`slipway init` writes a project that renders, passes its own tests, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.ops.project.answers import Wishes
from slipway.ops.project.errors import ProjectError
from slipway.ops.project.init import create
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
    # After `make up` the project gets the certificate of this clone, and so a Secret more.
    has_certificate = "slipway:secretFiles" in settings(shop, "Pulumi.local.yaml")
    assert done.returncode == 1
    assert "+  maxReplicas: 3" in done.stdout
    assert [line for line in done.stderr.splitlines() if line.endswith("objects, no problem")] == [
        f"local: {13 + has_certificate} objects, no problem",
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


def test_an_image_that_is_built_from_the_root_has_nothing_of_the_project_or_of_other_services(tmp_path: Path):
    folder = projects.go_service(projects.go_service(tmp_path / "shop") / "services" / "prices").parents[1]
    create(folder, Wishes())
    lines = (folder / ".dockerignore").read_text().splitlines()
    assert {"**/__pycache__", "**/.pytest_cache", "README.md", "services/prices"} <= set(lines)


def test_a_readme_of_the_app_stays_in_its_image(tmp_path: Path):
    folder = projects.write(projects.go_service(tmp_path / "shop"), {"README.md": "# Mine\n"})
    create(folder, Wishes())
    assert "README.md" not in (folder / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("wishes", "local", "dev"),
    [
        (Wishes(), "ingress", "traefik"),
        (Wishes(context="kind-kind"), "traefik", "traefik"),
        (Wishes(context="kind-kind", ingress_class="nginx"), "ingress-nginx", "ingress-nginx"),
        (Wishes(context="kind-kind", ingress_class="nginx", ingress_namespace="edge"), "edge", "edge"),
    ],
    ids=["make up", "traefik", "nginx", "given"],
)
def test_the_ingress_controller_is_let_in(tmp_path: Path, wishes: Wishes, local: str, dev: str):
    guesses = create(projects.go_service(tmp_path / "shop"), wishes)
    namespaces = [
        settings(tmp_path / "shop", f"Pulumi.{stack}.yaml")["slipway:cluster"]["ingressNamespace"]  # pyright: ignore[reportIndexIssue]
        for stack in ("local", "dev", "prod")
    ]
    assert namespaces == [local, dev, dev]
    told = "\n".join(map(str, guesses))
    assert (f"in namespace {local}" in told) == (not wishes.ingress_namespace)
    assert ("context kind-kind (given)" in told) == (wishes.context == "kind-kind")


def test_an_image_of_others_gets_what_most_need_and_each_guess_is_told(tmp_path: Path):
    told = "\n".join(map(str, create(tmp_path, Wishes(name="nginx", image=PINNED))))
    service = settings(tmp_path, "defaults.yaml")["slipway:services"]["nginx"]  # pyright: ignore[reportIndexIssue]
    assert service["resources"] == {"memory": "256Mi"}
    assert service["scratch"] == {"/tmp": "64Mi"}
    for key in ("ports.http", "probes.ready", "user", "resources.memory", "scratch"):
        assert f"services.nginx.{key} in stacks/defaults.yaml" in told
    comments = [line for file in (tmp_path / "stacks").glob("*.yaml") for line in file.read_text().splitlines()]
    assert not [line for line in comments if "built from source" in line or "that ran in dev" in line]


def test_the_requirement_is_told_with_the_file_that_holds_it(tmp_path: Path):
    folder = projects.write(projects.go_service(tmp_path / "shop"), {"requirements.txt": "flask\n"})
    told = [str(guess) for guess in create(folder, Wishes()) if guess.what == "requirement"]
    assert [line for line in told if not line.endswith("to change it: infra/requirements.txt")] == []


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
    assert service["probes"] == {"ready": {"tcp": True}}
    assert service["env"] == {"PORT": "9000"}


def test_an_answer_that_cannot_be_is_asked_for_again_with_the_rule(tmp_path: Path):
    answers, questions = iter(["80000", "http", "9000", "ready", "/ready"]), list[str]()

    def ask(question: str, _: str) -> str:
        questions.append(question)
        return next(answers)

    told = "\n".join(map(str, create(projects.go_service(tmp_path / "shop"), Wishes(), ask)))
    assert [question.splitlines()[0] for question in questions if "\n" in question] == [
        "80000: should be a port, 0 to 65535",
        "http: should be a port, 0 to 65535",
        "ready: should be a path such as /v1",
    ]
    service = settings(tmp_path / "shop", "defaults.yaml")["slipway:services"]["shop"]  # pyright: ignore[reportIndexIssue]
    assert service["probes"] == {"ready": {"path": "/ready"}}
    assert "shop: port:" not in told  # it is no guess any more
    assert "shop: variable PORT: 9000" in told


def test_a_refused_project_leaves_the_folder_as_it_was_and_says_each_line_once(tmp_path: Path):
    files = {"Dockerfile": "FROM a\nEXPOSE 80\n", ".gitignore": "mine\n"}
    folder = projects.write(tmp_path / "mysql", files)  # the name of a store
    with pytest.raises(ProjectError) as refused:
        create(folder, Wishes())
    assert str(refused.value).splitlines()[0] == "what these options give is refused; nothing was kept:"
    assert str(refused.value).count("is the name of a store") == 1
    assert "nothing was changed" not in str(refused.value)
    assert {file.name: file.read_text() for file in folder.iterdir()} == files


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(image=PINNED, health="healthz"), r"^--health healthz: should be a path such as /v1$"),
        (Wishes(image=PINNED, registry="https://example.com"), "^--registry https://example.com: should be a registry"),
        (Wishes(image=PINNED, ingress_namespace="In_gress"), "^--ingress-namespace In_gress: should be a name"),
        (Wishes(), "has no Dockerfile and no Go module"),
        (Wishes(image="nginx:1.29"), "name it by digest"),
        (Wishes(name="Shop"), "take lower case letters"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_there(tmp_path: Path, wishes: Wishes, message: str):
    with pytest.raises(ProjectError, match=message):
        create(tmp_path, wishes)
    assert list(tmp_path.iterdir()) == []
