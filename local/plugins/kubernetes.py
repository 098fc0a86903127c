"""The offline stand-in for pulumi-resource-kubernetes; the engine runs this file with its own address as argument."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python looks for modules beside a script first, where our docker.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

    from local.plugins.kubernetes_provider import main

    main()
