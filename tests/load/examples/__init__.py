"""The repositories of examples/ on the local cluster, beside the main stack."""
