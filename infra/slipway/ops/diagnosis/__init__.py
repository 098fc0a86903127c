"""What is wrong with a running stack, and why: status, causes, logs, drift, certificates and the engine's state.

These modules only read the cluster; doctor.py alone repairs something. A new cause gets a label in cause.py, and is
found in pods.py (one pod), containers.py (one container) or workloads.py (a Deployment, StatefulSet or Job).
"""
