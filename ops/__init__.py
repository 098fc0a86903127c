"""What people run around the program: one file per `./slipway` verb."""

import sys
from pathlib import Path

# The program's modules import each other by bare name, since the engine runs them inside infra/; so do its readers.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "infra"))
