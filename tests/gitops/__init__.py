"""Stacks for a controller in the cluster."""
