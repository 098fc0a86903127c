"""The autoscaler of a service: a HorizontalPodAutoscaler, or a ScaledObject from which KEDA makes one."""
