"""Which kind of object tells the backends: asked of the server, never guessed from its version."""

import msgspec

from appliance.sources.kubernetes.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    UNREADABLE,
    Connection,
    Refused,
    Resource,
    Unreachable,
)

_PATH = f"/apis/{ENDPOINT_SLICES.version}"
_NOT_FOUND = 404


class _Served(msgspec.Struct, frozen=True):
    name: str


class _Group(msgspec.Struct, frozen=True):
    resources: list[_Served]


async def backends_resource(connection: Connection) -> Resource:
    """EndpointSlices where the server has them in discovery.k8s.io/v1, else core/v1 Endpoints.

    Endpoints are cut off at 1,000 addresses, so they are only taken where there is nothing better.

    Raises:
        Unreachable, Refused: the server does not say.
    """
    try:
        body = await connection.get(_PATH, {})
    except Refused as error:
        if error.status == _NOT_FOUND:
            return ENDPOINTS
        raise
    try:
        served = {each.name for each in msgspec.json.decode(body, type=_Group).resources}
    except UNREADABLE as error:
        hint = "check the server's address, and what stands between here and it"
        raise Unreachable(f"{_PATH} is no list of resources: {error}", hint=hint) from None
    return ENDPOINT_SLICES if ENDPOINT_SLICES.plural in served else ENDPOINTS
