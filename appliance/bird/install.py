"""Write ``bird.conf`` where it is ours to write, and have BIRD take it over."""

import contextlib

from appliance.bird import files, reconfigure
from appliance.bird.control import SHOW_PROTOCOLS, BirdControl
from appliance.bird.observe import our_sessions
from appliance.bird.render import render_config
from appliance.bird.replies import parse_protocols
from appliance.config.schema import Config
from appliance.errors import BirdError, BirdUnreachable

# Passwords stand in it.
CONFIG_MODE = 0o640


async def install_config(config: Config, control: BirdControl) -> bool:
    """Make BIRD run the ``bird.conf`` of ``config`` (``bgp.manage: full``); whether there was anything to do.

    Equal bytes are left alone, so a restarted director disturbs no session. A file whose writer died before BIRD read
    it takes effect with the next change of VIPs. The include directory is made first: BIRD refuses a configuration
    that includes a missing one.

    Raises:
        BirdRejected: BIRD refuses the file or the command; the file is as it was.
        BirdUnreachable: there is no answer; the file is as it was, except where BIRD fell silent after it had checked
            the new one.
        BirdError: BIRD does not have our sessions afterwards and was told to undo it; or the file cannot be written.
        ConfigError: a value cannot stand in BIRD's configuration.
    """
    path = config.bird.config_path
    text = render_config(config).encode("ascii")
    files.make_directory(config.bird.include_dir)
    before = files.read(path)
    if before == text:
        return False
    files.replace(path, text, CONFIG_MODE)
    try:
        await reconfigure.check(control)
    except BirdError:
        files.replace(path, before, CONFIG_MODE)
        raise
    try:
        await reconfigure.apply(control, config.bird.confirm_timeout_s)
        await _verify(config, control)
    except BirdUnreachable:
        raise
    except BirdError:
        files.replace(path, before, CONFIG_MODE)
        # Where BIRD does not answer now, its own time-out undoes it.
        with contextlib.suppress(BirdError):
            await reconfigure.undo(control)
        raise
    await reconfigure.confirm(control)
    return True


async def _verify(config: Config, control: BirdControl) -> None:
    """BIRD is done within the time it has, and has every session of ours."""
    within_s = config.bird.confirm_timeout_s - 2 * config.bird.timeout_s
    if not await reconfigure.settle(control, within_s):
        raise BirdError(f"BIRD is still busy with its configuration after {within_s:g} s", hint="it was undone")
    present = {protocol.name for protocol in parse_protocols(await control.ask(SHOW_PROTOCOLS))}
    missing = sorted((our_sessions(config) or frozenset()) - present)
    if missing:
        raise BirdError(
            f"BIRD has read its configuration, but has no session {', '.join(missing)}",
            hint=f"it was undone; is {config.bird.config_path} the file that BIRD was started with?",
        )
