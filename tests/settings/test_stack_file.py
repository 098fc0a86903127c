"""Stack files are read as the engine reads them, and laid over what all stacks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.config import set_all_config

from slipway.ops.program.recorder import stacks
from slipway.settings import layers, source_files, stack_file
from slipway.settings.engine_yaml import Node, StackFileSyntaxError, read, scalar
from slipway.settings.errors import Location

# What the program got from Pulumi 3.259.0 (PULUMI_CONFIG) for these texts without quotes.
ENGINE: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("~", "null", "Null", "NULL")),
    **{word: word for word in ("yes", "no", "on", "off", "y", "tRUE", "nULL", "Yes", "NO", "12:30", "1:2:3")},
    **{"017": 15, "0o17": 15, "0x1F": 31, "0b11": 3, "1_000": 1000, "1__0": 10, "_1": "_1", "+5": 5, "-0": 0},
    **{"08": 8, "09.5": 9.5, "1e3": 1000, "1E3": 1000, "1.5e3": 1500, "10.0": 10, ".5": 0.5, "5.": 5},
    **{"1e400": "1e400", "-9223372036854775808": -9223372036854775808, "0o8": "0o8", "0x": "0x", "0.1": 0.1},
    **{"123456789012345678901234": 1.2345678901234569e23, "-9223372036854775809": -9223372036854775808.0},
    **{"1e21": 1e21, "1e-7": 1e-7, "0.000001": 0.000001, "1_0.5": 10.5, "0b12": "0b12", "-0b11": -3, "-0o17": -15},
    **{"0_7": 7, "+0x1f": 31, "-0x1f": -31, "2027-13-45": "2027-13-45", "": None},
}


@pytest.mark.parametrize("text", ENGINE)
def test_a_value_without_quotes_means_what_the_engine_makes_of_it(text: str):
    found = scalar(text)
    assert found == ENGINE[text]
    assert type(found) is type(ENGINE[text]) or isinstance(ENGINE[text], float)


def of(text: str) -> Any:
    node, mistakes = read(f"config:\n{text}".encode(), "stacks/x.yaml")
    assert not mistakes
    return node.plain()["config"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  a: {1: a, true: b, yes: f, 0x10: g}", {"1": "a", "true": "b", "yes": "f", "16": "g"}),
        ("  a: &x {p: 1, q: {r: 2}}\n  b: {<<: *x, p: 3}", {"p": 3, "q": {"r": 2}}),
        ("  a: &x {p: 1, q: 2}\n  b: {<<: [*x, {p: 5, z: 1}], q: 4}", {"p": 1, "q": 4, "z": 1}),
        ("  a: ['5', \"0.1\", !!str 5, 2027-01-31]", ["5", "0.1", "5", "2027-01-31"]),
        ("  a: |\n    x\n    y\n", "x\ny\n"),
    ],
)
def test_keys_anchors_quotes_and_blocks_are_the_engine_s_too(text: str, value: Any):
    assert list(of(text).values())[-1] == value


def test_every_value_knows_its_line():
    node, _ = read(b"config:\n  slipway:a:\n    b: [1,\n      {c: 2}]\n", "stacks/x.yaml")
    at = node.items()["config"].items()["slipway:a"]
    assert at.location == Location("stacks/x.yaml", 2, ("a",))
    assert at.nearest(("b", 1, "c")).location == Location("stacks/x.yaml", 4, ("a", "b", 1, "c"))
    assert at.nearest(("b", 7)).location == at.nearest(("b",)).location == Location("stacks/x.yaml", 3, ("a", "b"))


# What Pulumi 3.259.0 makes of these values when it writes a file anew, as `pulumi stack init` does.
WRITTEN_BACK = {
    **{"2027-01-31": "2027-01-31 00:00:00 +0000 UTC", "1.10": "1.1", "1.0": "1", "017": "15", "0o17": "15", "08": "8"},
    **{"0755": "493", "0x1F": "31", "1_000": "1000", "+5": "5", "-0": "0", ".5": "0.5", "5.": "5", "1e5": "100000"},
    **{"1e21": "1e+21", "12e3": "12000", "5e-7": "5e-07", "0.000001": "1e-06", "9007199254740993": "9007199254740993"},
    **{word: word for word in ("yes", "no", "on", "off", "y", "true", "12:30", "1:2:3", "1e400", "2027-13-45", "null")},
    **{"~": "null", "": "null", '"017"': '"017"', '"1.10"': '"1.10"', '"1e5"': '"1e5"', '"2027-01-31"': '"2027-01-31"'},
}


@pytest.mark.parametrize("text", WRITTEN_BACK)
def test_what_the_engine_writes_back_means_what_stood_there(text: str):
    assert of(f"  slipway:a:\n    b: {WRITTEN_BACK[text]}") == of(f"  slipway:a:\n    b: {text}")


CHANGED = ["18446744073709551615", "9223372036854775808", "-123456789012345678901234", "1_000_000_000_000_000_000_000"]


@pytest.mark.parametrize("text", [*CHANGED, "2027-1-3", "2027-01-31 12:00:00"])
def test_what_the_engine_would_change_as_it_writes_is_to_stand_in_quotes(text: str):
    _, [mistake] = read(f"config:\n  slipway:a: {text}\n".encode(), "stacks/x.yaml")
    assert "would be written in another way by the engine: put it in quotes" in mistake.rule
    assert of(f"  slipway:a: '{text}'") == {"slipway:a": text}


@pytest.mark.parametrize("text", ["2027-01-31 12:00:00 +0000 UTC", "2027-01-31 00:00:00.5 +0200 +0200"])
def test_a_time_that_the_engine_has_written_is_not_taken_for_what_was_meant(text: str):
    _, [mistake] = read(f"config:\n  slipway:a: {text}\n".encode(), "stacks/x.yaml")
    assert "is a time as the engine has written it: write in quotes what was meant" in mistake.rule


@pytest.mark.parametrize("content", [b"\xff", b"- a", b"a: b: c", b"a: &x [*x]", b"{[a]: b}", b"[" * 300 + b"]" * 300])
def test_what_is_no_mapping_is_unreadable_and_nothing_else(content: bytes):
    with pytest.raises(StackFileSyntaxError) as refused:
        read(content, "stacks/x.yaml")
    assert refused.value.error.location == Location("stacks/x.yaml", 1)


def merged(own: Any, shared: Any) -> Any:
    return layers.effective(Node.of(own), Node.of(shared)).plain()


@pytest.mark.parametrize(
    ("own", "shared", "effective"),
    [
        ({"a": {"x": 1}}, {"a": {"y": 2}, "b": 3}, {"a": {"x": 1, "y": 2}, "b": 3}),
        ({"a": {"x": {"z": 1}}}, {"a": {"x": {"z": 2, "w": 3}}}, {"a": {"x": {"z": 1, "w": 3}}}),
        ({"a": [1]}, {"a": [2, 3]}, {"a": [1]}),
        ({"a": None}, {"a": {"x": 1}}, {}),
        ({"a": {"x": None}}, {"a": {"x": 1, "y": 2}}, {"a": {"y": 2}}),
        ({"a": None}, {}, {"a": None}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": 5}),
        ({}, {}, {}),
    ],
)
@pytest.mark.feature("B2")
def test_a_stack_is_laid_over_what_all_stacks_share(own: Any, shared: Any, effective: Any):
    assert merged(own, shared) == effective


@pytest.mark.feature("B2")
def test_every_service_starts_from_what_all_services_share():
    shared = {"service": {"env": {"A": 1, "B": 1, "C": 1}}, "services": {"api": {"env": {"B": 2, "C": 2}}}}
    own = {"service": {"env": {"D": 3}}, "services": {"api": {"env": {"C": 4, "A": None}}, "web": {}}}
    services = merged(own, shared)["services"]
    assert services["api"]["env"] == {"B": 2, "C": 4, "D": 3}
    assert services["web"]["env"] == {"A": 1, "B": 1, "C": 1, "D": 3}


def test_null_takes_out_what_any_layer_below_says():
    shared = {"service": {"env": {"A": 1}}, "services": {"api": {"env": {"A": 2}}}}
    assert merged({"services": {"api": {"env": {"A": None}}}}, shared)["services"]["api"]["env"] == {}
    assert merged({"services": {"api": None, "web": {}}}, shared)["services"] == {"web": {"env": {"A": 1}}}


@pytest.fixture
def handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`handed_over(text, {"slipway:image": "{...}"}, secret_keys)`: the settings the program makes of what it gets."""
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")

    def load(text: str, engine: dict[str, str], secret_keys: tuple[str, ...] = ()) -> Any:
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
        set_all_config(engine, list(secret_keys))
        return stack_file.load()

    return load


WRITTEN = """\
config:
  slipway:cluster: {context: dev}
  slipway:image: {repository: r.example.com/api}
  slipway:waivers: [{rule: SW001, reason: for as long as it takes, until: 2027-01-31}]
  slipway:services: {web: {}, api: {env: {A: b}}}
"""
# As the engine makes it of WRITTEN: keys in order, a moment for the date.
ENGINE_TEXTS = {
    "slipway:cluster": '{"context":"dev"}',
    "slipway:image": '{"repository":"r.example.com/api"}',
    "slipway:waivers": '[{"reason":"for as long as it takes","rule":"SW001","until":"2027-01-31 00:00:00 +0000 UTC"}]',
    "slipway:services": '{"api":{"env":{"A":"b"}},"web":{}}',
}


def test_what_the_engine_hands_over_is_what_is_written(handed_over: Any):
    settings = handed_over(WRITTEN, ENGINE_TEXTS)
    assert settings.waivers[0].until.isoformat() == "2027-01-31"
    assert list(settings.services) == ["web", "api"]


def test_what_is_given_on_the_command_line_counts_and_is_told_with_the_line_it_stands_in_for(handed_over: Any):
    assert handed_over(WRITTEN, ENGINE_TEXTS | {"slipway:namespace": "other"}).namespace == "other"
    with pytest.raises(pulumi.RunError, match=r"Pulumi\.dev\.yaml:2: slipway:cluster\.context: should not be empty"):
        handed_over(WRITTEN, ENGINE_TEXTS | {"slipway:cluster": '{"context":""}'})


def test_a_waiver_s_day_is_the_same_after_the_engine_has_written_the_file_anew(handed_over: Any):
    written = WRITTEN.replace("2027-01-31", "2027-01-31 00:00:00 +0000 UTC")
    written = written.replace("[{rule", "[{object: Pod/x, rule")
    texts = ENGINE_TEXTS | {"slipway:waivers": ENGINE_TEXTS["slipway:waivers"].replace("{", '{"object":"Pod/x",', 1)}
    assert handed_over(written, texts).waivers[0].until.isoformat() == "2027-01-31"


def test_the_days_of_a_freeze_window_are_those_that_are_written(handed_over: Any):
    written = f"{WRITTEN}  slipway:freeze: [{{reason: year end, firstDay: 2026-12-24, lastDay: 2027-01-02}}]\n"
    moments = '"firstDay":"2026-12-24 00:00:00 +0000 UTC","lastDay":"2027-01-02 00:00:00 +0000 UTC"'
    [window] = handed_over(written, ENGINE_TEXTS | {"slipway:freeze": f'[{{{moments},"reason":"year end"}}]'}).freeze
    assert (window.first_day.isoformat(), window.last_day.isoformat()) == ("2026-12-24", "2027-01-02")


@pytest.mark.parametrize("nothing", ["null", "~", "", '""'], ids=["null", "tilde", "empty", "as the engine writes it"])
def test_null_at_the_top_takes_out_a_section_also_as_the_engine_writes_it(
    handed_over: Any, tmp_path: Path, nothing: str
):
    (tmp_path / "defaults.yaml").write_text("config:\n  slipway:redis: {source: cluster}\n")
    settings = handed_over(f"{WRITTEN}  slipway:redis: {nothing}\n", ENGINE_TEXTS | {"slipway:redis": ""})
    assert settings.redis is None


@pytest.mark.parametrize("broken", ["{", '{"context": "dev"', "[" * 5000, '{"context": NaN}', "nope", ""])
def test_a_broken_value_is_a_mistake_and_not_a_crash(handed_over: Any, broken: str):
    with pytest.raises(pulumi.RunError, match=r"slipway:cluster(\.context)?: (should be|has no value)"):
        handed_over(WRITTEN, ENGINE_TEXTS | {"slipway:cluster": broken})


def test_a_secret_that_looks_like_json_is_taken_as_it_is_and_never_told(handed_over: Any):
    text = WRITTEN.replace("env: {A: b}", "secrets: [key]")
    engine = ENGINE_TEXTS | {"slipway:services": '{"api":{"secrets":["key"]},"web":{}}', "slipway:key": "{hunter2"}
    assert handed_over(text, engine, ("slipway:key",)).services["api"].secrets == ["key"]
    with pytest.raises(pulumi.RunError, match="stands there in clear") as refused:
        handed_over(text, engine)
    assert "hunter2" not in str(refused.value)


def test_a_nested_secret_is_refused_and_its_value_not_told(handed_over: Any):
    with pytest.raises(pulumi.RunError, match="slipway:namespace: holds a secure: value") as refused:
        handed_over(WRITTEN, ENGINE_TEXTS | {"slipway:namespace": "Hunter2"}, ("slipway:namespace",))
    assert "Hunter2" not in str(refused.value)


@pytest.mark.parametrize("stack", stacks())
@pytest.mark.feature("B2")
def test_a_stack_file_says_nothing_that_all_stacks_share(stack: str):
    """Nothing in it could be left out because defaults.yaml says the same."""
    own, shared = source_files.read_files(stack)
    bare = {"services": {name: {} for name in own.settings.items()["services"].items()}}
    without = dict(leaves(layers.effective(Node.of(bare), shared.settings).plain()))
    assert not [(key, value) for key, value in leaves(own.settings.plain()) if without.get(key) == value]


def leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(key, value)]
    return [leaf for name, inner in value.items() for leaf in leaves(inner, f"{key}.{name}")]
