"""Write ``bird.conf`` where it is ours to write, and have BIRD take it over."""

from appliance.bird import files, reconfigure
from appliance.bird.control import SHOW_PROTOCOLS, BirdControl
from appliance.bird.observe import our_sessions
from appliance.bird.render import render_config
from appliance.bird.replies import parse_protocols
from appliance.config.schema import Config
from appliance.errors import BirdError, BirdRejected, BirdUnreachable

# Passwords stand in it.
CONFIG_MODE = 0o640


async def install_config(config: Config, control: BirdControl, *, even_if_equal: bool = False) -> bool:
    """Make BIRD run the ``bird.conf`` of ``config`` (``bgp.manage: full``); whether there was anything to do.

    Equal bytes are left alone, so a restarted director disturbs no session; ``even_if_equal`` is for a file that an
    earlier call wrote and could not tell BIRD about. A file that BIRD could not be asked to read takes effect when it
    starts, or with the next change of VIPs. The include directory is made first: BIRD refuses a configuration that
    includes a missing one.

    Raises:
        BirdRejected: BIRD refuses the file or the command; the file is as it was.
        BirdUnreachable: there is no answer; the new file stays.
        BirdError: BIRD does not have our sessions afterwards and was told to undo it; or the file cannot be written.
        ConfigError: a value cannot stand in BIRD's configuration.
    """
    path = config.bird.config_path
    text = render_config(config).encode("ascii")
    files.make_directory(config.bird.include_dir)
    before = files.read(path)
    if before == text and not even_if_equal:
        return False
    files.replace(path, text, CONFIG_MODE)
    try:
        await reconfigure.check(control)
        await reconfigure.apply(control, config.bird.confirm_timeout_s)
    except BirdRejected:
        files.replace(path, before, CONFIG_MODE)
        raise
    try:
        await _verify_sessions(control, config)
    except BirdUnreachable:
        raise
    except BirdError:
        await reconfigure.take_back(control, path, before, CONFIG_MODE)
        raise
    await reconfigure.confirm(control)
    return True


async def _verify_sessions(control: BirdControl, config: Config) -> None:
    """BIRD is done within the time it has, and has every session of ours."""
    if not await reconfigure.settle(control, reconfigure.settle_s(config.bird)):
        raise BirdError("BIRD is busy with its new configuration for too long", hint="it was undone")
    present = {protocol.name for protocol in parse_protocols(await control.ask(SHOW_PROTOCOLS))}
    missing = sorted((our_sessions(config) or frozenset()) - present)
    if missing:
        raise BirdError(
            f"BIRD has read its configuration, but has no session {', '.join(missing)}",
            hint=f"it was undone; is {config.bird.config_path} the file that BIRD was started with?",
        )
