"""The services that are measured, as a cluster has them."""

from collections.abc import Iterable

from appliance.model.desired import DesiredService
from tests.kube.objects import Object, endpoint, endpoint_slice, resource_of, service
from tests.kube.store import Store

NAMESPACE = "bench"


def service_of(wanted: DesiredService) -> Object:
    """Its Service."""
    return service(name_of(wanted), namespace=NAMESPACE, vips=[str(wanted.key.vip)], ports=[wanted.key.port])


def slice_of(wanted: DesiredService, not_ready: int = -1) -> Object:
    """Its EndpointSlice, with one endpoint that is not ready, or none."""
    endpoints = [
        endpoint(str(backend.address), ready=place != not_ready) for place, backend in enumerate(wanted.backends)
    ]
    return endpoint_slice(name_of(wanted), endpoints, namespace=NAMESPACE, ports=[wanted.key.port])


def fill(store: Store, wanted: Iterable[DesiredService]) -> None:
    """Put them into a cluster without a request for each, which would take a minute for 10,000."""
    for each in wanted:
        _put(store, service_of(each))
        _put(store, slice_of(each))


def _put(store: Store, item: Object) -> None:
    kind = resource_of(item)
    made = store.create(kind, item)
    if kind.has_status:
        key = (NAMESPACE, made["metadata"]["name"])
        store.update(kind, key, lambda before: {**before, "status": item["status"]}, status=True)


def name_of(wanted: DesiredService) -> str:
    """The name of its Service."""
    return wanted.owner.partition("/")[2]
