"""How the double misbehaves on demand: each fault is a value, and a rule says whom it meets."""

from dataclasses import dataclass

from tests.kube.request import Request


@dataclass(frozen=True, slots=True)
class Fails:
    """Answers with this HTTP status (410, 429, 500, 503 ...) and a Status object."""

    code: int
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Drops:
    """Resets the connection after so many bytes of the body; by default before anything is answered."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Stalls:
    """Says nothing more after so many bytes of the body, for good; by default it says nothing at all."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Truncates:
    """Ends the body properly after so many bytes: what was to come is missing, a JSON line is cut."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Empties:
    """Answers a list with no items."""


@dataclass(frozen=True, slots=True)
class Garbles:
    """Answers 200 with something that is not what was asked for."""

    body: bytes = b"<html>so sorry</html>"


@dataclass(frozen=True, slots=True)
class Expires:
    """Answers a watch with 200 and an ERROR event 410; the same as an HTTP status is ``Fails(410)``."""


Fault = Fails | Drops | Stalls | Truncates | Empties | Garbles | Expires


@dataclass(slots=True)
class Rule:
    """Whom a fault meets: requests with this verb and for this kind (None: any), ``times`` times (None: always)."""

    fault: Fault
    verb: str | None = None
    kind: str | None = None
    times: int | None = None

    def meets(self, request: Request) -> bool:
        """Whether the fault meets this request; if so, that was one of the times."""
        if self.times == 0 or self.verb not in (None, request.verb) or self.kind not in (None, request.kind):
            return False
        if self.times is not None:
            self.times -= 1
        return True
