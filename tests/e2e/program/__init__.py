"""Tests of the program and the stand-in plugins with the real engine, API server and registry."""
