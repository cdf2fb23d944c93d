"""Where a configuration comes from: volumes, credentials, and a server that the kernel's command line names."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from appliance.errors import ConfigError, KernelError, SourceError
from appliance.firstboot.cloud import META_DATA, USER_DATA
from appliance.firstboot.kernel import mounted_volume
from appliance.firstboot.seed import MOST_BYTES, Seed, is_wanted, read_seed

# Both spellings, as cloud-init takes them; udev makes the links.
LABELS = ("cidata", "CIDATA")
PREFIX = "balanced."
_TIMEOUT_S = 30.0


def volume(devices: Path, point: Path) -> Seed | None:
    """What the volume with the label says, None if there is none. ``devices`` is udev's folder of labels.

    Raises:
        ConfigError: what it says is wrong, or it cannot be read.
    """
    device = next((devices / label for label in LABELS if (devices / label).exists()), None)
    if device is None:
        return None
    place = f"volume {device.name}"
    try:
        with mounted_volume(device.resolve(), point) as root:
            raw = dict(files_on(root))
    except (KernelError, OSError) as error:
        raise ConfigError((f"{place}: cannot be read: {error} (make it with vfat or iso9660)",)) from None
    return read_seed(place, raw)


def files_on(root: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Every file of a medium that is wanted. What is too large is cut, and refused for that later."""
    for path in (*root.iterdir(), *root.glob("*/*")):
        name = PurePosixPath(path).relative_to(root)
        # A link would lead to a file of this node.
        if is_wanted(name) and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                yield name, file.read(MOST_BYTES + 1)


def credentials(folder: Path) -> Seed | None:
    """What systemd has handed over: ``balanced.NAME`` is as a file NAME on a volume. None where nothing was.

    ``folder`` is the unit's $CREDENTIALS_DIRECTORY (systemd.exec(5)).

    Raises:
        ConfigError: what it says is wrong.
    """
    if not folder.is_dir():
        return None
    paths = sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX))
    raw = {PurePosixPath(path.name.removeprefix(PREFIX)): path.read_bytes() for path in paths}
    wrong = [f"credential {PREFIX}{path}: is no name of a file" for path in raw if not is_wanted(path)]
    if wrong:
        raise ConfigError(tuple(f"{each} (letters, digits and . _ -)" for each in wrong))
    return read_seed("credentials", raw) if raw else None


def server(command_line: str) -> str | None:
    """The address that ``ds=nocloud;s=URL`` names, with a slash at its end; None where nothing does.

    Raises:
        ConfigError: it is no address of a server.
    """
    word = next((each for each in command_line.split() if each.startswith(("ds=nocloud;", "ds=nocloud-net;"))), "")
    keys = dict(part.partition("=")[::2] for part in word.split(";")[1:])
    url = keys.get("s") or keys.get("seedfrom")
    if not url:
        return None
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ConfigError(
            (f"kernel command line: ds: {url[:200]!a} is no address (write ds=nocloud;s=https://HOST/FOLDER/)",)
        )
    return url if url.endswith("/") else f"{url}/"


def fetched(url: str) -> Seed:
    """What the server says: ``user-data`` and ``meta-data`` below this address.

    Raises:
        SourceError: it does not answer; it may later.
        ConfigError: what it says is wrong.
    """
    raw = {PurePosixPath(name): _fetch(f"{url}{name}") for name in (USER_DATA, META_DATA)}
    return read_seed(url.rstrip("/"), raw)


def _fetch(url: str) -> bytes:
    # Half of a start is to load these, and few nodes ask a server.
    import http.client  # noqa: PLC0415 - as above
    import urllib.request  # noqa: PLC0415 - as above

    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the scheme was looked at above
            content: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {error}", hint="it is asked again in a while") from None
    return content
