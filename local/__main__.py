"""python -m local up | down | clean | status | venv: what `make` calls.

Readable to any Python 3, to be able to say that it is too old.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 this very file must be readable to older ones
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write("error: Python 3.11 or newer is needed, this is " + version + " (" + sys.executable + ")\n")
    sys.stderr.write("  fix: install a newer one and name it: make up PYTHON=python3.12\n")
    sys.exit(1)

from local.command import main

sys.exit(main(sys.argv[1:]))
