"""Tests of the program, `./slipway` and the local cluster, in a folder for each of their packages."""
