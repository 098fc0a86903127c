"""What follows from the objectives of services: recording rules, alerts and dashboards."""
