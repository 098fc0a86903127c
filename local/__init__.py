"""The local cluster: everything that `make up` needs and the machine does not have yet.

`bootstrap` brings packages and programs, `node` runs the one-node cluster, `stack` deploys the local stack, `plugins`
replaces Pulumi's provider plugins where they cannot be downloaded. The modules beside them belong to the command line:
what `make up` and `make down` do, step by step. `cluster`, `ingress` and `pulumi` are the Go modules that are compiled.
"""
