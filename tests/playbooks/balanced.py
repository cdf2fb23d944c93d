"""A stand-in for the command `balanced` of one director: its state is files in a folder, its deeds lines in a log.

The director's name comes from the interpreter that Ansible was told to use on that host (see the test).
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Do what the command line says; the exit status is that of the real command."""
    name, verb = os.environ["DIRECTOR"], sys.argv[1]
    shelf = Path(os.environ["DIRECTORS"])
    home = shelf / name
    sick = (home / "sick").exists()
    if verb == "status":
        drained = (home / "drained").exists()
        vips = [
            {"vip": vip, "announced_to": [] if drained or sick else ["tor1"]}
            for vip in (home / "vips").read_text().split()
        ]
        print(json.dumps({"drain": {"who": "somebody"} if drained else None, "vips": vips}))
        return 3 if sick else 0
    if verb == "doctor":
        return 0
    with (shelf / "log").open("a") as log:
        log.write(f"{name} {verb}\n")
    if verb == "drain":
        (home / "drained").touch()
    elif verb == "undrain":
        (home / "drained").unlink()
    elif verb == "change" and (home / "spoiled by a change").exists():
        (home / "sick").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
