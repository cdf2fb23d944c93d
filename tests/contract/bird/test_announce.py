"""Announcing, on a fake BIRD and on every real one alike."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import pytest

from appliance.bird.announce import Announcer
from appliance.bird.control import CONFIGURE_STATUS, BirdControl, Command
from appliance.bird.reconfigure import UNDO_SCHEDULED, apply
from appliance.bird.render import render_include
from appliance.errors import BirdRejected, BirdUnreachable
from appliance.model.address import Address
from appliance.model.routing import Routing
from tests.contract.bird.real_bird import eventually
from tests.contract.bird.subject import RecordingControl, Subject

A, B, C = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8:50::1"))
NOTHING: frozenset[Address] = frozenset()


def with_announcer[T](subject: Subject, work: Callable[[Announcer, RecordingControl], Awaitable[T]]) -> T:
    raise NotImplementedError
