"""Objects that monitor a stack: its own Prometheus, Alertmanager and Jaeger, or those of the Prometheus Operator."""
