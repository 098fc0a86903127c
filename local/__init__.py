"""The embedded default: everything `make up` needs that the machine does not have yet."""

import sys
from pathlib import Path

# The program's modules import each other by bare name. Last on the path, so that none of them hides a package.
sys.path.append(str(Path(__file__).resolve().parent.parent / "infra"))
