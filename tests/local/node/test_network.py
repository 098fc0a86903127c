"""Changes to the host that carry our name are undone; everything else is left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.errors import SetupError
from local.node import network
from local.node.cluster import nameservers, render

# `iptables -t nat -S` of a machine with our pods, those of another CNI network, and Docker.
RULES = r"""
-P PREROUTING ACCEPT
-N CNI-DN-0a1b2c
-N CNI-DN-other
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment slipway -j MASQUERADE
-A CNI-DN-0a1b2c -d 127.0.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.244.0.3:8443
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"slipway\" id: \"f00\"" -j CNI-DN-0a1b2c
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"podman\" id: \"f01\"" -j CNI-DN-other
""".strip().splitlines()


def test_only_rules_with_our_name_are_removed() -> None:
    commands = [" ".join(command) for command in network.removals(RULES)]
    assert commands[0].startswith("-D POSTROUTING -s 10.244.0.0/16")
    assert re.fullmatch(r"-D CNI-HOSTPORT-DNAT .*\bf00\b.* -j CNI-DN-0a1b2c", commands[1])
    assert commands[2:] == ["-F CNI-DN-0a1b2c", "-X CNI-DN-0a1b2c"]


def test_mounts_below_a_folder_are_found_whatever_their_names(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / /run/slipway/cluster rw - ext4 /dev/vda rw\n"
        "37 36 0:5 / /run/slipway/a\\040b rw - tmpfs tmpfs rw\n"
        "38 35 98:0 / /run/slipway-other rw - ext4 /dev/vda rw\n"
    )
    assert network.mounts_below(Path("/run/slipway"), table) == ["/run/slipway/cluster", "/run/slipway/a b"]


def test_a_setting_is_raised_and_never_lowered(tmp_path: Path) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n")
    network.raise_setting(setting, 8192)
    assert setting.read_text() == "8192"
    network.raise_setting(setting, 100)
    assert setting.read_text() == "8192"


def test_empty_cgroups_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    (tmp_path / "cpu" / "kubepods" / "burstable" / "pod1").mkdir(parents=True)
    (tmp_path / "cpu" / "kubepods" / "pod2").mkdir()
    (tmp_path / "cpu" / "kubepods" / "pod2" / "in-use").write_text("")
    network.remove_empty_cgroups(tmp_path)
    assert [path.name for path in (tmp_path / "cpu").rglob("*")] == ["kubepods", "pod2", "in-use"]


def test_pods_do_not_get_a_resolver_on_the_loopback_interface(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("# stub\nnameserver 127.0.0.53\noptions edns0\n")
    real.write_text("nameserver 192.0.2.1\n")
    assert nameservers([stub, real]) == ["192.0.2.1"]
    assert nameservers([stub, tmp_path / "none"]) == []


def test_an_unknown_placeholder_is_an_error() -> None:
    assert render("image: @IMAGE@", {"IMAGE": "x:1"}) == "image: x:1"
    with pytest.raises(SetupError, match="@IMAGES@"):
        render("image: @IMAGES@", {"IMAGE": "x:1"})
