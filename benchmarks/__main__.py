"""``python -m benchmarks`` is ``python -m benchmarks.run``."""

import sys

from benchmarks.run import program

sys.exit(program())
