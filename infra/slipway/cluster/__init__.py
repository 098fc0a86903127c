"""The connection to the one cluster that a stack may touch: kubeconfig, credentials, client and retries.

All code that talks to an API server gets its client here. What a service or a rollout is does not belong here.
"""
