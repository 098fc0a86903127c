"""Checks around a rollout: wait for its completion, verify it, hand over fields to the autoscaler.

The engine calls this code during an update: around a resource, as a hook, or at the end. It needs the cluster's API. A
step that Pulumi itself cannot do, or cannot be relied on for, belongs here.
"""
