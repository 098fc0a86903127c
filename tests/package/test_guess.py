"""`slipway init` and `slipway new service` read sources, and say where each guess comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.ops.project import origin
from slipway.ops.project.guess import App, name_of, of_sources
from slipway.ops.project.sources import Dockerfile, Sources, folders_with_sources
from tests.package import projects

EXPRESS = "const app = express()\napp.get('/health', ok)\napp.listen(process.env.PORT || 3000)\n"
FLASK = 'app = Flask(__name__)\n@app.route("/ping")\ndef ping(): ...\napp.run(port=5000)\n'
CONSUMER = "import redis\nwhile True:\n    redis.Redis().xread({})\n"
PROBED = 'package main\n// serves\nfunc main() { h("/livez"); h("/readyz"); http.ListenAndServe(":9898", nil) }\n'
CALLER = 'package main\nfunc main() { get(os.Getenv("PRICES_URL")); http.ListenAndServe(":8080", nil) }\n'


def guessed(folder: Path, files: dict[str, str], others: list[str] | None = None) -> App:
    return of_sources(Sources(projects.write(folder, files)), "shop", ".", others or [])


@pytest.mark.parametrize(
    ("files", "port", "ready", "where"),
    [
        ({"server.js": EXPRESS, "package.json": "{}"}, 3000, "/health", "server.js:3"),
        ({"app.py": FLASK, "requirements.txt": ""}, 5000, "/ping", "app.py:4"),
        ({"app.py": FLASK, "Dockerfile": "FROM python\nEXPOSE 8000/tcp 9000\n"}, 8000, "/ping", "EXPOSE in the"),
        ({"main.go": PROBED, "go.mod": "module m\n"}, 9898, "/readyz", "main.go:3"),
    ],
    ids=["node", "python", "EXPOSE wins", "go"],
)
def test_port_and_health_path_are_read_from_the_sources(
    tmp_path: Path, files: dict[str, str], port: int, ready: str, where: str
):
    app = guessed(tmp_path, files)
    assert (app.port, app.ready) == (port, ready)
    assert where in str(next(guess for guess in app.guesses if guess.what == "shop: port"))


def test_every_guess_names_the_key_that_changes_it(tmp_path: Path):
    app = guessed(tmp_path, {"server.js": EXPRESS, "Dockerfile": "FROM node\nUSER node\n"})
    told = {guess.what: str(guess) for guess in app.guesses}
    assert told["shop: readiness"] == (
        "shop: readiness: GET /health (server.js:2); to change it: services.shop.probes.ready.path in "
        "stacks/defaults.yaml"
    )
    assert "its Dockerfile has USER node" in told["shop: runs as"]
    assert app.env == {"PORT": "3000"}


def test_separate_paths_for_ready_and_live_are_both_used(tmp_path: Path):
    app = guessed(tmp_path, {"main.go": PROBED})
    assert (app.ready, app.live) == ("/readyz", "/livez")


def test_a_program_that_listens_nowhere_is_a_worker(tmp_path: Path):
    assert guessed(tmp_path, {"consume.py": CONSUMER, "Dockerfile": "FROM python\n"}).is_worker


def test_a_service_that_is_called_is_needed_and_its_address_given(tmp_path: Path):
    app = guessed(tmp_path, {"main.go": CALLER, "go.mod": "module m\n"}, ["shop", "prices"])
    assert app.needs == ["prices"]
    assert app.env == {"PRICES_URL": "http://prices"}


def test_tests_and_packages_of_others_are_no_part_of_the_program(tmp_path: Path):
    files = {"main_test.go": PROBED, "vendor/x/main.go": PROBED, "node_modules/y/index.js": EXPRESS}
    assert guessed(tmp_path, {**files, "main.go": "package main\n"}).is_worker


def test_the_go_program_that_is_named_like_the_service_is_compiled(tmp_path: Path):
    files = {"go.mod": "module m\n", "cmd/cli/main.go": "package main\n", "cmd/shop/main.go": "package main\n"}
    assert guessed(tmp_path, files).package == "./cmd/shop"


def test_only_the_last_stage_of_a_dockerfile_decides_the_user():
    text = "FROM golang AS build\nUSER root\nFROM scratch\n# USER 1\nCOPY \\\n  a b\nUSER 12345:12345\n"
    assert Dockerfile(text).user == "12345"
    assert Dockerfile("FROM a\nUSER 1\nFROM b\n").user == ""


def test_each_folder_with_a_dockerfile_is_a_service(tmp_path: Path):
    projects.write(tmp_path, {"shop/Dockerfile": "", "services/prices/Dockerfile": "", "node_modules/x/Dockerfile": ""})
    found = [folder.relative_to(tmp_path).as_posix() for folder in folders_with_sources(tmp_path)]
    assert found == ["shop", "services/prices"]


@pytest.mark.parametrize(
    ("folder", "name"), [("Shop_API", "shop-api"), ("2048", "app-2048"), ("a" * 40, "a" * 30), ("-x-", "x")]
)
def test_a_folder_s_name_becomes_a_dns_label(folder: str, name: str):
    assert name_of(Path("/src") / folder) == name


@pytest.mark.parametrize(
    ("remote", "is_written"),
    [
        ("https://git.example.com/acme/slipway.git", True),
        ("https://x-access-token:hunter2@git.example.com/acme/slipway.git", False),
        ("git@git.example.com:acme/slipway.git", False),
    ],
)
def test_the_address_of_the_package_never_has_a_password(
    remote: str, is_written: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    answers = {"remote": remote, "rev-parse": "0" * 40}
    monkeypatch.setattr(origin, "_git", lambda _folder, verb, *_: answers[verb])
    line = origin._of_clone(tmp_path)  # pyright: ignore[reportPrivateUsage]
    assert line == (f"git+{remote}@{'0' * 40}" if is_written else tmp_path.as_uri())
