"""`./slipway dev`: a service of a running stack follows its sources, from a saved file to a pod within seconds.

What a session may change in the cluster, and how that is put back, is in ops/cluster/dev_build.py.
"""
