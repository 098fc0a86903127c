"""The repositories of examples/: what they declare for each of their stacks. tests/load/examples deploys them."""
