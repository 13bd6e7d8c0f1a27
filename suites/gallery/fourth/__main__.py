"""``python -m suites.gallery.fourth FOLDER [--watch]``: records the fourth set there and prints how it is judged."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from suites.gallery.fourth._names import N
from suites.gallery.fourth._recorded import RECORDED
from suites.gallery.judge import conclude


def main(out, watch):
    command = [sys.executable, "-m", "suites.gallery.fourth.record", str(out), *(["--watch"] if watch else []), *RECORDED]
    subprocess.run(command, env={**os.environ, "LVMCHECK_WATCH": "0"}, check=True)  # only what --watch asks for
    rows = {row["name"]: row for row in json.loads((out / "list.json").read_text())}
    count = Counter()
    for name in RECORDED:
        row = rows[name]
        found = conclude(out / name)
        right = bool(found.named) and bool({found.named[0].name, *found.named[0].also} & set(N.get(name, ())))
        failed, warned = found.exit == 1, found.exit == 0 and bool(found.warned)
        count.update({(row["kind"], key): int(value) for key, value in
                      {"programs": 1, "failed": failed, "warned": warned, "right": right}.items()})
        if (row["kind"] == "BROKEN" and not (failed and right)) or (row["kind"] == "HEALTHY" and (failed or warned)):
            first = ", ".join((found.named[0].name, *found.named[0].also)) if found.named else ""
            print(f"{row['kind']} {name} ({row['what']}): failed {', '.join(found.failed)}; "
                  f"warned {', '.join(found.warned)}; first {first}")
    for kind in ("BROKEN", "HIDDEN", "HEALTHY"):
        print(kind, {key: count[kind, key] for key in ("programs", "failed", "warned", "right")})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), "--watch" in sys.argv)
