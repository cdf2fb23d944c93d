"""What becomes of this node's routes when its director is lost: written down while the director is well.

A unit of its own carries it out (appliance/last_will.py), with nothing of this program but that one file.
"""

from pathlib import Path

import msgspec

from appliance.last_will import FILE, VERSION, Will
from appliance.storage import replace_file
from appliance.telemetry import messages
from appliance.telemetry.journal import Standing


def encode(will: Will) -> bytes:
    """The will as its executor reads it."""
    return msgspec.json.encode({"version": VERSION, **msgspec.to_builtins(will)})


def keep(runtime_dir: Path, will: Will, standing: Standing) -> None:
    """Put the will in place of an older one; a condition stands where that is impossible."""
    try:
        replace_file(runtime_dir / FILE, encode(will), durable=False)
    except OSError as error:
        text = f"{runtime_dir / FILE} cannot be written: {error.strerror or error}"
        standing.begin(messages.LAST_WILL_UNWRITTEN, text)
    else:
        standing.end(messages.LAST_WILL_UNWRITTEN)
