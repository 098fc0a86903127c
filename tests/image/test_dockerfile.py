"""What is read in a Dockerfile, and what of it the builder without a daemon assembles itself."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from slipway.image.dockerfile import declared_arguments, last_stage, stages
from slipway.image.scratch import contents

FILE = """\
# syntax=docker/dockerfile:1
ARG VERSION=3.14 VARIANT
from --platform=$BUILDPLATFORM python:${VERSION} as Build
ARG GOPROXY
# ARG COMMENTED
RUN echo one \\
# a comment between two lines
    && echo FROM nobody AS wrong
RUN <<EOF
FROM users AS wrong
ARG WRONG
EOF
RUN echo $((1<<3))
FROM scratch AS final
ARG REVISION=dev TAGS
COPY --from=build /out /
"""


def test_stages_are_told_from_words_in_commands_comments_and_here_documents():
    assert [(stage.base, stage.name) for stage in stages(FILE)] == [
        ("python:${VERSION}", "build"),
        ("scratch", "final"),
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [(FILE, "final"), ("FROM a AS one\nFROM b\n", None), ("FROM a AS one\r\n", "one"), ("", None), ("nonsense", None)],
)
def test_the_last_stage_is_that_of_docker(text: str, name: str | None):
    assert last_stage(text) == name


def test_an_argument_that_chooses_a_base_image_is_not_taken_for_one_of_a_stage():
    assert declared_arguments(FILE) == {"GOPROXY", "REVISION", "TAGS"}
    assert declared_arguments("ARG VERSION=3\nFROM a:${VERSION}\nARG VERSION\n") == set()


STAGE = """\
FROM scratch AS base
ARG VERSION=dev
ENV MODE=production PLACE="here and there"
LABEL version="${VERSION}" one=1 \\
      place='$PLACE'
USER 1000:1000
EXPOSE 8080 53/udp
WORKDIR /srv
STOPSIGNAL SIGINT
CMD ["serve"]
FROM base AS prebuilt
COPY dist/api LICENSE /srv/
COPY ui /ui
ENTRYPOINT ["/srv/api", "--fast"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in ("dist/api", "LICENSE", "ui/index.html", "ui/js/a.js"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "dist" / "api").chmod(0o755)
    return tmp_path


def test_a_stage_without_commands_is_assembled_as_docker_would(context: Path):
    found = contents(STAGE, "prebuilt", context, {"VERSION": "src-1"})
    assert found
    assert [[(file.path, file.mode) for file in layer] for layer in found.layers] == [
        [("srv/api", 0o755), ("srv/LICENSE", 0o644)],
        [("ui/index.html", 0o644), ("ui/js/a.js", 0o644)],
    ]
    assert found.config == {
        "Env": ["MODE=production", "PLACE=here and there"],
        "Labels": {"version": "src-1", "one": "1", "place": "here and there"},
        "User": "1000:1000",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "WorkingDir": "/srv",
        "StopSignal": "SIGINT",
        "Cmd": ["serve"],
        "Entrypoint": ["/srv/api", "--fast"],
    }


@pytest.mark.parametrize(
    "instruction",
    ["RUN apk add curl", "COPY --from=build /a /a", "CMD serve", "ADD https://a.io /a", "HEALTHCHECK NONE"],
)
def test_an_instruction_that_needs_docker_is_named(context: Path, instruction: str):
    with pytest.raises(pulumi.RunError, match=f"needs Docker for `{instruction}`.*Set builder: docker"):
        contents(f"FROM scratch AS prebuilt\n{instruction}\n", "prebuilt", context, {})


def test_a_base_image_needs_docker(context: Path):
    with pytest.raises(pulumi.RunError, match="needs Docker for `FROM alpine`"):
        contents("FROM alpine AS prebuilt\n", "prebuilt", context, {})


def test_a_file_that_is_not_in_the_context_is_named(context: Path):
    with pytest.raises(pulumi.RunError, match="there is no missing in the build context"):
        contents("FROM scratch AS prebuilt\nCOPY missing /\n", "prebuilt", context, {})


def test_there_is_nothing_to_assemble_without_the_stage(context: Path):
    assert contents("FROM golang:1.26-alpine AS build\n", "prebuilt", context, {}) is None
