"""Objects that monitor a stack: its own Prometheus and Alertmanager, or those of the Prometheus Operator."""
