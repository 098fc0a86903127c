"""`python -m tests.schemas` generates the schemas of custom resources in infra/slipway/schemas/custom."""
