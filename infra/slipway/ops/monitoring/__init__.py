"""What Prometheus knows of a stack: objectives and what is left of their budgets, pictures, alerts, the gate."""
