"""A configuration file -> Config, or all of its mistakes at once."""

import re
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from appliance.config import document as documents
from appliance.config.fields import BASE_DIRECTORY, Mistake, secret
from appliance.config.ipam import Ipam
from appliance.config.schema import Config, IpamFile, Peer
from appliance.config.tunnel import TunnelConfig
from appliance.config.words import explain
from appliance.errors import ConfigError

_KEY = re.compile(r"[A-Za-z0-9_.<-]{0,60}", re.ASCII)
_MAX_PASSWORD_LINE = 200


def load(path: Path, *, netns: str | None = None, place: Path | None = None) -> Config:
    """Read ``path``; relative paths in it start at its directory, and password files are read into ``password``.

    ``netns`` stands instead of what the file says in director.netns. ``place`` is where the file is to lie, if that is
    not where it lies now: relative paths start there.

    Raises:
        ConfigError: with one line ``file:line: key: what is wrong (what to write instead)`` for each mistake, in the
            order of the lines. No line holds a secret.
    """
    document = _document(path)
    if netns is not None:
        section = document.values.get("director")
        document.values["director"] = {**(section if isinstance(section, dict) else {}), "netns": netns}
    found = list(document.mistakes)
    config, mistakes = _validated(document, (place or path).parent)
    found += [(document.line(mistake.where), mistake) for mistake in mistakes]
    if config is None or found:
        raise ConfigError(_lines(path, found))
    return config


def load_ipam(path: Path) -> Ipam:
    """Read the allocator's section of ``path``, which may hold nothing else; a whole configuration is checked whole.

    Raises:
        ConfigError: as in load, or there is no such section.
    """
    document = _document(path)
    if set(document.values) - {"ipam"}:
        config = load(path)
        if config.ipam is None:
            raise ConfigError((f"{path}: ipam: is missing (write the pools of the allocator below ipam:)",))
        return config.ipam
    found, file = list(document.mistakes), None
    try:
        file = IpamFile.model_validate(
            document.values, by_alias=True, by_name=False, context={BASE_DIRECTORY: path.parent}
        )
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        found += [(document.line(mistake.where), mistake) for mistake in explain(details, document)]
    if file is None or found:
        raise ConfigError(_lines(path, found))
    return file.ipam


def is_for_ipam_alone(path: Path) -> bool:
    """Whether the file holds the allocator's section and nothing else.

    Raises:
        ConfigError: it cannot be read.
    """
    return set(_document(path).values) == {"ipam"}


def is_for_tunnel(path: Path) -> bool:
    """Whether the file is a tunnel agent's: it names ``directors``, and nothing that a director cannot do without.

    Raises:
        ConfigError: it cannot be read.
    """
    keys = _document(path).values.keys()
    return "directors" in keys and not keys & {"bgp", "sources"}


def _document(path: Path) -> documents.Document:
    text = _text(path)
    try:
        return documents.read(text)
    except documents.Unreadable as error:
        raise ConfigError((_line(path, error.line, error.mistake),)) from None


def _lines(path: Path, found: list[tuple[int, Mistake]]) -> tuple[str, ...]:
    """Each mistake as a line, in the order of the file's lines."""
    lines = sorted({(line, _line(path, line, mistake)) for line, mistake in found})
    return tuple(text for _, text in lines)


def load_tunnel(path: Path, *, node: str | None = None) -> TunnelConfig:
    """Read the configuration of a tunnel agent; ``node`` stands instead of what the file says in node.name.

    Raises:
        ConfigError: as in ``load``.
    """
    document = _document(path)
    if node:
        section = document.values.get("node")
        document.values["node"] = {**(section if isinstance(section, dict) else {}), "name": node}
    config, found = None, list(document.mistakes)
    try:
        config = TunnelConfig.model_validate(
            document.values, by_alias=True, by_name=False, context={BASE_DIRECTORY: path.parent}
        )
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        found += [(document.line(each.where), each) for each in explain(details, document, TunnelConfig)]
    if config is None or found:
        raise ConfigError(_lines(path, found))
    return config


def _text(path: Path) -> str:
    remedy = "give the path of a readable YAML file"
    try:
        with path.open("rb") as file:
            content = file.read(documents.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror} ({remedy})",)) from None
    if len(content) > documents.MAX_BYTES:
        raise ConfigError((f"{path}: holds more than {documents.MAX_BYTES} bytes ({remedy})",))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}:{line}: not UTF-8 (save the file as UTF-8)",)) from None


def _validated(document: documents.Document, base: Path) -> tuple[Config | None, list[Mistake]]:
    try:
        config = Config.model_validate(document.values, by_alias=True, by_name=False, context={BASE_DIRECTORY: base})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, explain(details, document)
    mistakes: list[Mistake] = []
    peers = tuple(_with_password(peer, index, mistakes) for index, peer in enumerate(config.bgp.peers))
    bgp = config.bgp.model_copy(update={"peers": peers})
    return config.model_copy(update={"bgp": bgp}), mistakes


def _with_password(peer: Peer, index: int, mistakes: list[Mistake]) -> Peer:
    if peer.password_file is None:
        return peer
    where = ("bgp", "peers", index, "password_file")
    try:
        with peer.password_file.open(encoding="utf-8") as file:
            line = file.readline(_MAX_PASSWORD_LINE).rstrip("\r\n")
        return peer.model_copy(update={"password": secret(line)})
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        mistakes.append(Mistake(where, what, "give the path of a file with the password in its first line"))
    except UnicodeDecodeError:
        mistakes.append(Mistake(where, "the file holds no plain text", "write the password in ASCII"))
    except PydanticCustomError as error:
        context = error.context or {}
        mistakes.append(Mistake(where, f"the password in the file {context['what']}", context["remedy"]))
    return peer


def _line(path: Path, line: int, mistake: Mistake) -> str:
    key = _dotted(mistake.where)
    place = f"{path}:{line}: {key}" if key else f"{path}:{line}"
    return f"{place}: {mistake.what} ({mistake.remedy})"


def _dotted(where: documents.Where) -> str:
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{_plain(step)}"
    return text.lstrip(".")


def _plain(key: str) -> str:
    # In flow style "password:word" is a key, with the password in it.
    plain = _KEY.match(key)
    return key if plain and plain.end() == len(key) else f"{plain.group() if plain else ''}..."
