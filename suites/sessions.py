"""``python -m suites.sessions [OPTION ...]``: the tests as two pytest sessions side by side, one for each of two cores.

The tests of lvmcheck itself need no training; meanwhile the other session trains. What the first one prints stands
behind what the second one prints.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence

ALONE = "suites/lvmcheck"


def main(options: Sequence[str]) -> int:
    """0 where both sessions passed, else the exit status of one that did not."""
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        first = subprocess.Popen([*pytest, ALONE], stdout=output, stderr=subprocess.STDOUT)
        try:
            second = subprocess.call([*pytest, f"--ignore={ALONE}", *options])
            code = first.wait()
        except KeyboardInterrupt:  # both sessions got it from the terminal
            return 128 + 2 if first.wait() is not None else 1
        output.seek(0)
        sys.stdout.write(output.read())
    return second or code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
