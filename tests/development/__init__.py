"""Tests of `./slipway dev`: infra/slipway/ops/development/ and the mark in ops/cluster/dev_build.py."""
