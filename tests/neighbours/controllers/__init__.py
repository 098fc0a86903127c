"""Controllers that a test compiles from Go modules, and runs in the local cluster with their own manifests."""
