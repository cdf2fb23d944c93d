"""The settings that a director wants of its host: what differs, and setting it; old values are kept on disk."""

from collections.abc import Iterable
from pathlib import Path

from appliance.host import history
from appliance.host.kernel import HostKernel
from appliance.host.prepare import changes, remember
from appliance.model.host import Change, Changed, Sysctl


class HostSettings:
    """Settings of this kernel, in the network namespace of whoever asks. Blocks: a handful of small files."""

    def __init__(self, kernel: HostKernel, wanted: Iterable[Sysctl], record: Path) -> None:
        """Nothing is read yet.

        Args:
            kernel: where settings are read and written.
            wanted: what they should be.
            record: the file with the values that stood before, for whoever wants them back.
        """
        self._kernel = kernel
        self._wanted = tuple(wanted)
        self._record = record

    def differing(self) -> tuple[Change, ...]:
        """What would have to change now; a setting that this kernel does not have is passed over."""
        return changes(self._wanted, self._kernel.read(each.key for each in self._wanted))

    def change(self, wanted: Iterable[Change]) -> Changed:
        """Make these changes, each whatever becomes of the others, and keep the old values on disk."""
        outcomes = {change: self._kernel.write(change) for change in wanted}
        made = tuple(change for change, error in outcomes.items() if not error)
        refused = {change: error for change, error in outcomes.items() if error}
        return Changed(made, refused, self._keep(made) if made else "")

    def _keep(self, made: tuple[Change, ...]) -> str:
        try:
            history.save(self._record, remember(history.load(self._record), made))
        except OSError as error:
            return f"{self._record}: {error.strerror or error}"
        return ""
