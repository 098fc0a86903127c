"""The program and its stand-in plugins, with the real engine, API server and registry."""
