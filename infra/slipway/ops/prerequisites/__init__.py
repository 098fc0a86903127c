"""What a stack needs of this machine, its registry and its cluster before an update can work.

`./slipway doctor` and `make up` on another cluster check it. What an update left behind belongs to `ops/diagnosis/`.
"""
