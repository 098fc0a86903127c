"""The exec plugin of the provider's kubeconfig: see slipway/cluster/exec_credential.py. The state names this file."""

import sys

from slipway.cluster.exec_credential import main

if __name__ == "__main__":
    main(*sys.argv[1:])
