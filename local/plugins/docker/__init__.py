"""The offline stand-in for pulumi-docker: builds and pushes `docker:index/image:Image`, and nothing else.

It keeps the behavior of the official plugin 5.1.0: the build context is hashed when inputs are checked, so a changed
source file shows up in a preview without a build; a new name or tag is an update; delete and refresh do nothing; a
changed registry login alone is no change.

It builds with the daemon's classic builder, whatever `builderVersion` says: BuildKit needs a gRPC session that the
Docker client for Python cannot open. A Dockerfile must therefore do without `RUN --mount` and the like, and all stages
before `target` are built, needed or not.
"""
