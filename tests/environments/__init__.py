"""Tests of `./slipway env`: infra/slipway/ops/environments/."""
