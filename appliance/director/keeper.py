"""What sources say, kept beyond a reboot: while a source has not spoken, what it said last stands in for it.

A snapshot may be older than what this node serves already. So VIPs and services that it lacks stay as they are (I3).
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from appliance.director import brakes, intent
from appliance.director.context import Context
from appliance.director.snapshot_codec import Kept, later
from appliance.director.snapshot_file import Found, SnapshotFile
from appliance.errors import SourceError
from appliance.model.desired import Snapshot
from appliance.telemetry import messages

# A change is on disk soon after this time; writing takes at most this share of the time, however large the table is.
LEAST_PAUSE_S = 1.0
# The pass that puts it in place comes first: writing keeps the processor busy, in a thread or not.
PASS_FIRST_S = 0.25
WRITING_SHARE = 0.1
RETRY_S = 30.0
# A disk that hangs must not keep a director from starting, nor from stopping.
DISK_S = 3.0


class Keeper:
    """Hears the sources of one director, keeps their snapshots in ``file`` (None: nowhere), and puts them in place."""

    def __init__(self, context: Context, file: SnapshotFile | None, scopes: Mapping[str, str]) -> None:
        self._context = context
        self._file = file
        self._scopes = scopes
        self._kept: dict[str, Kept] = {}
        self._saved: dict[str, Kept] = {}
        self._silences: dict[str, str] = {}
        self._said = asyncio.Event()

    def hear(self, name: str, item: Snapshot | SourceError) -> None:
        """Take what the source ``name`` says."""
        if isinstance(item, SourceError):
            self._silences[name] = str(item)
            brakes.silent(self._context, name)
            self._tell_silence(name)
            return
        self._silences.pop(name, None)
        self._context.memory.stand_ins.pop(name, None)
        self._context.standing.end(messages.SOURCE, name, SOURCE=name)
        before, kept = self._context.memory.snapshots.get(name), self._kept.get(name)
        brakes.hear(self._context, name, item, before or (kept.snapshot if kept is not None else None))
        self.keep_anew()

    def keep_anew(self) -> None:
        """What is in force has changed and is to be saved."""
        self._said.set()

    async def load(self) -> None:
        """Read what was kept of the sources as they are configured now."""
        if self._file is None:
            return
        try:
            async with asyncio.timeout(DISK_S):
                found = await asyncio.to_thread(self._file.load)
        except TimeoutError:
            found = Found(refused=f"{self._file.path} cannot be read within {DISK_S:g} s")
        if found.refused:
            self._context.journal.tell(messages.SNAPSHOT_UNUSED, REASON=found.refused)
        for name in sorted(found.kept.keys() & self._context.ports.sources.keys()):
            kept = found.kept[name]
            if kept.scope == self._scopes.get(name, ""):
                self._kept[name] = kept
            else:
                reason = "it is of a source that was configured otherwise"
                self._context.journal.tell(messages.SNAPSHOT_UNUSED, SOURCE=name, REASON=reason)
        self._saved = dict(self._kept)

    async def stand_in(self) -> None:
        """After the time of grace, use what was kept of every source that has not spoken."""
        await asyncio.sleep(self._context.settings.cold_start_grace_s)
        memory = self._context.memory
        for name, kept in self._kept.items():
            if name not in memory.snapshots:
                memory.stand_ins[name] = kept.since
                self._tell_silence(name)
                intent.accept(self._context, name, kept.snapshot)

    async def keep(self) -> None:
        """Save what changes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._said.wait()
            await asyncio.sleep(PASS_FIRST_S)
            self._said.clear()
            started_s = loop.time()
            if await self.save():
                took_s = loop.time() - started_s
                await asyncio.sleep(max(LEAST_PAUSE_S, took_s / WRITING_SHARE))
            else:
                await asyncio.sleep(RETRY_S)
                self._said.set()

    async def flush(self) -> None:
        """Save what is not saved yet, or give up: the last act of a director."""
        try:
            async with asyncio.timeout(DISK_S):
                await self.save()
        except TimeoutError:
            self._context.record.unwritten()
            self._context.journal.tell(messages.SNAPSHOT_GIVEN_UP, WITHIN_S=DISK_S)

    async def save(self) -> bool:
        """Save what was said, if it is not what was saved last; False, and a condition, where that is impossible."""
        if self._file is None:
            return True
        memory, now = self._context.memory, datetime.now(UTC).replace(microsecond=0)
        for name, snapshot in memory.snapshots.items():
            known = self._kept.get(name) or Kept(snapshot, now, self._scopes.get(name, ""))
            self._kept[name] = later(known, snapshot, now)
        if self._kept == self._saved:
            return True
        kept = dict(self._kept)
        try:
            await asyncio.to_thread(self._file.save, kept)
        except OSError as error:
            self._context.record.unwritten()
            text = f"{self._file.path} cannot be written: {error.strerror or error}"
            self._context.standing.begin(messages.SNAPSHOT, f"{text}; what stands in after a reboot grows old")
            return False
        self._saved = kept
        self._context.standing.end(messages.SNAPSHOT)
        return True

    def _tell_silence(self, name: str) -> None:
        """Say why the source is silent, and by what this node goes meanwhile."""
        memory = self._context.memory
        since = memory.stand_ins.get(name)
        if since is not None:
            meanwhile = f"no word yet, serving the state of {since:%F %H:%M} UTC"
        elif name in memory.snapshots:
            meanwhile = "the last good state stays in force"
        else:
            meanwhile = "nothing is known of it yet"
        reason = self._silences.get(name)
        text = f"{reason}; {meanwhile}" if reason else meanwhile
        self._context.standing.begin(messages.SOURCE, text, name, SOURCE=name)
