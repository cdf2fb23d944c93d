"""A host whose settings are a dictionary."""

from collections.abc import Iterable

from appliance.host.prepare import changes
from appliance.model.host import Change, Changed, Sysctl


class FakeHost:
    """Settings as they stand in ``values``; ``readings`` counts how often they were looked at.

    ``refusal`` is why nothing can be changed, while it is set; ``unrecorded`` why old values cannot be kept.
    """

    def __init__(self, wanted: Iterable[Sysctl], values: dict[str, str]) -> None:
        self._wanted = tuple(wanted)
        self.values = values
        self.readings = 0
        self.refusal = ""
        self.unrecorded = ""

    def differing(self) -> tuple[Change, ...]:
        self.readings += 1
        return changes(self._wanted, self.values)

    def change(self, wanted: Iterable[Change]) -> Changed:
        asked = tuple(wanted)
        if self.refusal:
            return Changed(refused=dict.fromkeys(asked, self.refusal))
        self.values.update((each.key, each.new) for each in asked)
        return Changed(asked, unrecorded=self.unrecorded)
