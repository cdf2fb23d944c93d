"""Everything this program raises on purpose.

Anything that is not an ApplianceError is a bug: it ends the process with a traceback (invariant I8)::

    ApplianceError
    +-- ConfigError        the operator's configuration is wrong; nothing was changed
    +-- SourceError        a source of desired state cannot be read now; the last good set stays
    +-- KernelError        the kernel refused an operation, or cannot be asked
    +-- BirdError
    |   +-- BirdUnreachable   no answer on BIRD's control socket within the time-out
    |   +-- BirdRejected      BIRD answered, and the answer is no
    |   +-- BirdUnexpected    BIRD answered something that this program does not understand
    +-- ContainerError
    |   +-- ContainerGone       there is no such container now; it may have ended, or not begun yet
    |   +-- RuntimeSilent       a container runtime does not answer, or not in a way that is understood
    +-- AlreadyRunning     another director holds this node
    +-- ControlError       the director's control socket cannot be reached, or refused the request
    +-- SlotError          the slots of this node, or the boot loader's variables about them, cannot be used
        +-- UpdateRefused     an update is not for this node, not whole, or not from whom it has to be

Libraries raise; only the command line turns an error into an exit code (ExitCode).
"""

import enum
import errno as errno_names


class ExitCode(enum.IntEnum):
    """What a command's exit status means to a script."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DEGRADED = 3
    REFUSED = 4


class ApplianceError(Exception):
    """Base of every error that is not a bug. ``hint`` is what the reader should do next."""

    exit_code = ExitCode.FAILURE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(ApplianceError):
    """The configuration has mistakes; ``mistakes`` holds one printable line for each of them."""

    exit_code = ExitCode.USAGE

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class SourceError(ApplianceError):
    """A source of desired state is silent or unreadable: information is missing, so nothing may be removed (I3)."""


class KernelError(ApplianceError):
    """The kernel refused ``op`` on ``key`` with ``errno`` (0 where it gave no number)."""

    def __init__(self, op: str, key: str, errno: int, *, hint: str = "") -> None:
        name = errno_names.errorcode.get(errno, str(errno)) if errno else "no answer"
        super().__init__(f"{op} {key}: {name}".replace("  ", " "), hint=hint)
        self.op = op
        self.key = key
        self.errno = errno


class BirdError(ApplianceError):
    """Something about BIRD."""


class BirdUnreachable(BirdError):
    """BIRD's control socket does not answer: absent, refused, or silent past the time-out."""


class BirdRejected(BirdError):
    """BIRD answered a command with an error; ``code`` is its reply code (8002: the configuration does not parse)."""

    def __init__(self, command: str, code: int, text: str, *, hint: str = "") -> None:
        super().__init__(f"BIRD refused {command!r}: {code:04d} {text}", hint=hint)
        self.command = command
        self.code = code
        self.text = text


class BirdUnexpected(BirdError):
    """BIRD's answer is not what its control protocol or the command promises; nothing may be concluded from it."""


class ContainerError(ApplianceError):
    """A container's network namespace cannot be found now; whatever stands in it stays as it is."""


class ContainerGone(ContainerError):
    """There is no such container, or it does not run."""


class RuntimeSilent(ContainerError):
    """A container runtime gives no answer on its socket, or none that says where a container runs."""


class AlreadyRunning(ApplianceError):
    """Another director, or tunnel agent, is running on this node; it was not disturbed."""

    exit_code = ExitCode.REFUSED


class ControlError(ApplianceError):
    """The director's control socket cannot be reached, or the director refused the request."""


class SlotError(ApplianceError):
    """The slots that this node starts from, or the boot loader's variables, cannot be read or written."""


class UpdateRefused(SlotError):
    """An update is not taken; the slot that runs and the one that starts next are as they were."""

    exit_code = ExitCode.REFUSED
