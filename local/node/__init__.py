"""Run the one-node cluster: its daemons, network, certificates, volumes and images.

Code belongs here if it configures or starts a part of the cluster. What is deployed into the cluster belongs to the
Pulumi program, or to addons.yaml if every cluster has it.
"""
