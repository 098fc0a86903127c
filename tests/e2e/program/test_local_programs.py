"""The Go programs of the local cluster and toolchain pass their own tests, with the modules of `make up`."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import ROOT, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("module", "packages"),
    [
        ("local/cluster", ["./multicall", "./netpol", "./pods", "./ports", "./pause"]),
        ("local/pulumi", ["./pulumi-language-python"]),
    ],
)
def test_a_local_program_passes_go_vet_and_its_tests(module: str, packages: list[str]):
    # The flags of the build, so that nothing is compiled again.
    flags = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath"}
    run("go", "vet", *packages, cwd=ROOT / module, env=flags)
    output = run("go", "test", *packages, cwd=ROOT / module, env=flags).stdout
    assert "ok  " in output
