"""The search for leaked secrets finds planted ones, so an empty result proves that there are none."""

from __future__ import annotations

import base64

import pytest

from tests.leaks import forms, leaks

CANARY = "Canary/4711+Sing-Out.Loud~Qx9"
PLANTS = {
    "plain": f"key={CANARY}",
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64 after one byte": base64.b64encode(b"x" + CANARY.encode() + b"yz").decode(),
    "base64 after two bytes": base64.b64encode(b"xx" + CANARY.encode()).decode(),
    "upper case": CANARY.upper(),
    "lower case": CANARY.lower(),
    "url-quoted": "https://h/?k=Canary%2F4711%2BSing-Out.Loud~Qx9",
    "hex": CANARY.encode().hex(),
    "start": CANARY[:15] + "...",
    "end": "..." + CANARY[-13:],
    "reversed": CANARY[::-1],
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_secret_is_found(plant: str):
    assert leaks(CANARY, {"log": f"before {PLANTS[plant]} after"})


def test_text_without_the_secret_has_no_leak():
    assert leaks(CANARY, {"log": "Canary birds sing out loud", "state": "{}"}) == []
    assert len(forms(CANARY)) >= 10
