"""python -m local up | down | clean | status | venv: the commands behind `make`.

Every Python 3 can parse this file, so that one that is too old gets a message instead of a syntax error.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 older versions run this file, too
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write("error: Python 3.11 or newer is needed, this is " + version + " (" + sys.executable + ")\n")
    sys.stderr.write("  fix: install a newer one and name it: make up PYTHON=python3.12\n")
    sys.exit(1)

from local.command import main

sys.exit(main(sys.argv[1:]))
