"""Stack files as people break them: each is a text, read as a file of stacks/ is, and names its mistake.

One row is an edit of BASE, the key the message has to name and words of the rule. Whatever is wrong, the program ends
with one `pulumi.RunError` before it declares anything: no traceback, no regular expression, no value of a secret.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slipway.__main__ import main
from slipway.ops.program import recorder
from tests.settings.bad_edits import API, CRON, HOST, ROWS, Row
from tests.settings.conftest import BASE, CANARY, STRICT, Put, edited, refusal

LAUGHS = "  slipway:a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"  slipway:{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: list[tuple[str | bytes, str]] = [
    ("", "slipway:cluster: is required"),
    ("# all of it to come\n", "there is no mapping `config:`"),
    ("config:\n", "there is no mapping `config:`"),
    ("config: [a]\n", "there is no mapping `config:`"),
    ("- config\n", "should be a mapping that holds `config:`"),
    ("hello\n", "should be a mapping that holds `config:`"),
    (BASE + "---\n" + BASE, "expected a single document"),
    (BASE.replace("debug", "café").encode("latin-1"), "Pulumi.dev.yaml:18: is not UTF-8"),
    (BASE.encode("utf-16"), "is not UTF-8"),
    (BASE + "#" * 2**20, "has 1024 KiB; the engine can pass 128 KiB on"),
    ("config:\n" + LAUGHS, "holds more than 20000 values"),
    ("config:\n  slipway:image: " + "[" * 600 + "]" * 600 + "\n", "is nested too deeply"),
    (b"\x00\x01\x02\xff", "is not UTF-8"),
    (
        BASE.replace("\n", "\r\n").replace("max: 2", "max: 200"),
        "Pulumi.dev.yaml:9: slipway:services.api.autoscaling.max",
    ),
    ("\ufeff" + BASE.replace("max: 2", "max: 200"), "Pulumi.dev.yaml:9: slipway:services.api.autoscaling.max"),
]


def test_the_file_all_others_are_made_from_is_accepted(put: Put):
    assert put(BASE).resources


@pytest.mark.parametrize(("old", "new", "key", "words"), ROWS)
@pytest.mark.feature("B1")
def test_a_bad_stack_file_names_its_mistake(put: Put, old: str, new: str, key: str, words: str):
    message = refusal(put, edited(old, new))
    about = re.escape(f"slipway:{key}: ") if key else ""
    assert re.search(
        rf"stacks/Pulumi\.dev\.yaml:\d+: {about}.*{re.escape(words)}" if key else re.escape(words), message
    ), message


@pytest.mark.parametrize(("text", "words"), FILES, ids=[words for _, words in FILES])
def test_a_file_that_is_no_stack_file_is_refused(put: Put, text: str | bytes, words: str):
    assert words in refusal(put, text)


def test_what_can_not_be_read_is_told_and_nothing_made_up_from_it(put: Put):
    assert "has 1 mistake;" in refusal(put, edited("max: 2}", "max: 2"))
    assert "has 1 mistake;" in refusal(put, BASE, defaults="config: {")


ACCEPTED: list[Row] = [
    ("env: {LOG_LEVEL: debug}", "env: {LOG_LEVEL: debug, COUNTRY: no, AT: 12:30}", "", "yes and no are text"),
    ("env: {LOG_LEVEL: debug}", "env: {LOG_LEVEL: debug, RELEASED: 2027-01-31}", "", "a date is text"),
    ("cpu: 50m", "cpu: 1", "", "a whole CPU needs no quotes"),
    (HOST, "host: xn--bcher-kva.example.com", "", "punycode"),
    (HOST, f"host: {'a.' * 124}com", "", "251 characters"),
    ("    context: dev", "    <<: &dev {context: dev}\n    server: https://x", "", "anchors and merges"),
    ("config:\n", "encryptionsalt: v1:x\nconfig:\n  kubernetes:context: x\n", "", "what belongs to Pulumi"),
    ("slipway:namespace", "namespace", "", "a key without the project"),
    ("  slipway:image:", "  slipway:signing-key: {secure: AAABA}\n  slipway:image:", "", "an encrypted secret"),
    (CRON, "cron: 30 3 31 2 1", "", "a day that never is, or each Monday"),
    (CRON, "cron: 30 3 29 2 *", "", "a leap day"),
    (CRON, "cron: 30 3 31 */2 *", "", "months with 31 days"),
    (CRON, "cron: '5/10 0-23/5 * 1,12 0-6'", "", "lists, ranges and steps"),
    ("memory: 64Mi", "memory: 8Mi", "", "the least memory"),
    ("path: /v1", "path: /.well-known/..a/b..", "", "dots in a path"),
    ("10.20.0.0/16", "'2001:DB8::/32'", "", "a range of IPv6"),
    (
        "    api:\n",
        f"    web: {{ingress: {{{HOST}, path: /, tls: {{secretName: api-tls}}}}}}\n    api:\n",
        "",
        "two services on one host with one certificate",
    ),
    ("debug}", '"größer 😀\\n\\t"}', "", "unicode, lines and tabs"),
]


@pytest.mark.parametrize(("old", "new"), [row[:2] for row in ACCEPTED], ids=[row[3] for row in ACCEPTED])
def test_what_only_looks_like_a_mistake_is_accepted(put: Put, old: str, new: str):
    assert put(edited(old, new)).resources


@pytest.mark.parametrize("text", [BASE.replace("\n", "\r\n"), "\ufeff" + BASE], ids=["CRLF", "byte order mark"])
def test_an_editor_s_line_ends_and_byte_order_mark_do_no_harm(put: Put, text: str):
    assert put(text).manifests() == put(BASE).manifests()


@pytest.mark.feature("B1")
def test_mistakes_of_every_kind_are_told_in_one_go(put: Put, given: dict[str, str]):
    text = edited("max: 2}", "max: 2, mx: 3}").replace("min: 1,", "min: 3,").replace(HOST, f"{HOST}\n        {HOST}")
    text = text.replace("config:", "colour: red\nconfig:").replace("10.20.0.0/16", "10.20.0.0")
    message = refusal(put, text.replace("  slipway:image:", "  slipway:quota: {pods: 0}\n  slipway:image:"))
    for words in (
        "Pulumi.dev.yaml:1: colour: unknown key",
        "Pulumi.dev.yaml:11: slipway:services.api.autoscaling.mx: unknown key",
        "Pulumi.dev.yaml:11: slipway:services.api.autoscaling: min (3) is more than max (2)",
        "Pulumi.dev.yaml:15: slipway:services.api.ingress.host: is given twice, on lines 14 and 15",
        "Pulumi.dev.yaml:18: slipway:services.api.egress.0.cidr: should be a range of addresses",
        "Pulumi.dev.yaml:5: slipway:quota.pods: should be greater than or equal to 1",
        "slipway:signing-key: secret is missing",
    ):
        assert words in message, message
    assert "has 7 mistakes" in message
    lines = [int(line) for line in re.findall(r"yaml:(\d+):", message)]
    assert lines == sorted(lines)


@pytest.mark.feature("B1")
def test_an_unknown_key_does_not_hide_what_the_sections_demand_of_each_other(put: Put):
    message = refusal(put, edited(API, "      needs: [apl]\n      replcas: 2\n" + API))
    assert 'needs.0: no such service; did you mean "api"?' in message
    assert "replcas: unknown key" in message


@pytest.mark.feature("B1", "B2")
def test_a_mistake_in_what_all_stacks_share_is_told_with_its_own_line_and_once(put: Put):
    image = "slipway:image: {repository: r.example.com/api}"
    shared = f"config:\n  {image}\n  slipway:service:\n    drian: {{}}\n    env: {{A: 1}}\n"
    message = refusal(put, edited("    api:\n", "    web: {}\n    api:\n"), defaults=shared)
    assert "has 2 mistakes" in message
    assert 'stacks/defaults.yaml:4: slipway:service.drian: unknown key; did you mean "drain"?' in message
    assert "stacks/defaults.yaml:5: slipway:service.env.A: should be text" in message


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        (f"config: {{slipway:signing-key: {CANARY}}}", "slipway:signing-key: unknown key"),
        ("config: {slipway:service: 5}", "slipway:service: should be a mapping"),
        ("config: {slipway:servcie: {}}", 'slipway:servcie: unknown key; did you mean "service"?'),
        ("config: {", "stacks/defaults.yaml:1: is not YAML"),
        ("config:\n\tslipway:service: {}", "stacks/defaults.yaml:2: is not YAML"),
    ],
)
def test_a_bad_file_of_defaults_is_refused(put: Put, shared: str, words: str):
    assert words in refusal(put, BASE, defaults=shared)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("d" * 56, "up to 55 letters, digits, `-`, `_` and `.`; this one has 56 characters"),
        ("d" * 100, "this one has 100 characters"),
        ("prod-", "up to 55 letters, digits, `-`, `_` and `.`"),
    ],
)
def test_a_stack_name_that_fits_no_label_is_one_mistake(put: Put, stack: str, words: str):
    """Every object carries it: without this one line there would be one for each object."""
    message = refusal(put, BASE.replace("config:\n", "config:\n  slipway:tier: dev\n", 1), stack)
    assert "has 1 mistake;" in message
    assert words in message


@pytest.mark.parametrize("stack", ["d" * 55, "dev.eu", "Dev_2"])
def test_a_stack_name_that_fits_a_label_is_accepted(put: Put, stack: str):
    assert put(STRICT.replace("config:\n", "config:\n  slipway:tier: dev\n", 1), stack).resources


def test_a_stack_whose_name_has_a_dot_is_among_those_there_are(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    monkeypatch.setattr(recorder, "ROOT", tmp_path)
    (tmp_path / "stacks").mkdir(exist_ok=True)
    for name in ("dev", "prod.eu", "prod.us.east"):
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text(BASE)
    assert recorder.stacks() == ["dev", "prod.eu", "prod.us.east"]


def test_the_command_line_tells_a_mistake_without_a_traceback(
    put: Put, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    message = refusal(put, edited("max: 2}", "mx: 2}"))
    monkeypatch.setattr("sys.argv", ["slipway", "render", "-s", "dev"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert capsys.readouterr().err == f"error: {message}\n"
