"""A stack for Flux or Argo CD: its objects in order, published as a signed artifact of a registry.

Code that knows what such a controller reads belongs here; code that applies objects itself does not.
"""
