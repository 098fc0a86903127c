"""Services scale by their requests: through KEDA, and through prometheus-adapter."""
