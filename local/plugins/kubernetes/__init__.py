"""The offline stand-in for pulumi-resource-kubernetes: only the kinds that the program declares, and custom resources.

Like the official plugin (4.29 and later) it uses server-side apply, waits until objects are ready, refuses to take over
objects that others created, and records `__inputs`, `__fieldManager` and `__initialApiVersion` beside the live object,
so that a stack can move from one plugin to the other. Unlike it, secrets are also secret in `__inputs`.

`provider.py` answers the engine; the other modules serve it and know nothing of gRPC. A new kind of object is a line in
`kinds.py`, and a readiness check in `waits.py` if it needs one.
"""
