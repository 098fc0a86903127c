"""The repositories of examples/: what they declare for each of their stacks. tests/e2e/examples deploys them."""
