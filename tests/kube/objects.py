"""Kubernetes objects as plain data, and where an API server keeps them.

Names, fields and paths are those of the Kubernetes API reference.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

POOL_ADDRESS = "10.50.0.1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in one version: how a server names it in a path."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    has_status: bool = False

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of one object, or without ``name`` of all in a namespace, or of all in the cluster."""
        steps = [self.root]
        if namespace is not None and self.namespaced:
            steps += ["namespaces", namespace]
        return "/".join((*steps, self.plural, *(step for step in (name, subresource) if step is not None)))

    @property
    def root(self) -> str:
        """The path of its group and version."""
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"


RESOURCES = (
    Resource("v1", "Namespace", "namespaces", namespaced=False, has_status=True),
    Resource("v1", "Service", "services", has_status=True),
    Resource("v1", "Endpoints", "endpoints"),
    Resource("v1", "Event", "events"),
    Resource("v1", "Pod", "pods", has_status=True),
    Resource("v1", "Node", "nodes", namespaced=False, has_status=True),
    Resource("v1", "ServiceAccount", "serviceaccounts"),
    Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Resource("discovery.k8s.io/v1beta1", "EndpointSlice", "endpointslices"),
    Resource("events.k8s.io/v1", "Event", "events"),
    Resource("coordination.k8s.io/v1", "Lease", "leases"),
    Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False),
    Resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Resource("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)


def resource_of(item: Mapping[str, Any]) -> Resource:
    """Where an object belongs, by its apiVersion and kind."""
    return resource(item["kind"], item["apiVersion"])


def resource(kind: str, api_version: str | None = None) -> Resource:
    """The kind in this version; without one in the first version of the table.

    Raises:
        LookupError: the table has no such kind.
    """
    for known in RESOURCES:
        if known.kind == kind and api_version in (None, known.api_version):
            return known
    raise LookupError(f"{api_version or 'any version'} {kind}: add it to RESOURCES")


def names_of(items: Iterable[Object]) -> list[str]:
    """Their names, in order."""
    return [item["metadata"]["name"] for item in items]


def version_of(item: Object) -> str:
    """The resourceVersion of an object or a list."""
    version: str = item["metadata"]["resourceVersion"]
    return version


def namespace(name: str) -> Object:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(
    name: str = "web",
    *,
    namespace: str = "default",
    vips: Iterable[str] = (POOL_ADDRESS,),
    ports: Iterable[int | Object] = (80,),
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> Object:
    """A Service of type LoadBalancer whose status holds these VIPs. A port may be a number (TCP) or a whole port.

    Servers take a status only by its own subresource: ``Api.create`` sees to that.
    """
    addresses = [{"ip": vip} for vip in vips]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, namespace, labels, annotations),
        "spec": {"type": "LoadBalancer", "ports": [_port(port) for port in ports], **spec},
        "status": {"loadBalancer": {"ingress": addresses} if addresses else {}},
    }


def endpoint_slice(
    service: str = "web",
    addresses: Iterable[str | Object] = (),
    *,
    suffix: str = "1",
    namespace: str = "default",
    ports: Iterable[int | Object] = (80,),
    address_type: str = "IPv4",
    version: str = "v1",
    labels: Mapping[str, str] | None = None,
) -> Object:
    """An EndpointSlice of a Service. An address may be a text (ready) or a whole endpoint, see ``endpoint``."""
    return {
        "apiVersion": f"discovery.k8s.io/{version}",
        "kind": "EndpointSlice",
        "metadata": _metadata(
            f"{service}-{suffix}", namespace, {"kubernetes.io/service-name": service, **(labels or {})}, None
        ),
        "addressType": address_type,
        "endpoints": [endpoint(one) if isinstance(one, str) else one for one in addresses],
        "ports": [_port(port) for port in ports],
    }


def endpoint(address: str, **conditions: bool) -> Object:
    """One endpoint of a slice: ``endpoint("10.0.0.1", ready=False, serving=True, terminating=True)``."""
    return {"addresses": [address], "conditions": conditions or {"ready": True}}


def endpoints(
    service: str = "web",
    addresses: Iterable[str] = (),
    *,
    not_ready: Iterable[str] = (),
    namespace: str = "default",
    ports: Iterable[int | Object] = (80,),
) -> Object:
    """The Endpoints of a Service, in one subset; with no address at all there is no subset, as a cluster has it."""
    subset: Object = {"ports": [_port(port) for port in ports]}
    for key, given in (("addresses", addresses), ("notReadyAddresses", not_ready)):
        items = [{"ip": address} for address in given]
        if items:
            subset[key] = items
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": _metadata(service, namespace, None, None),
        "subsets": [subset] if len(subset) > 1 else [],
    }


def pod(name: str, node: str, *, namespace: str = "default") -> Object:
    """A pod on a node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(name, namespace, None, None),
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "example.invalid/main"}]},
    }


def event(regarding: Mapping[str, Any], reason: str, message: str, *, name: str = "web.1") -> Object:
    """A core/v1 Event on an object that a server has returned."""
    metadata = regarding["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": _metadata(name, metadata["namespace"], None, None),
        "involvedObject": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
        },
        "reason": reason,
        "message": message,
        "type": "Normal",
        "source": {"component": "balanced"},
        "count": 1,
    }


def _metadata(
    name: str, namespace: str, labels: Mapping[str, str] | None, annotations: Mapping[str, str] | None
) -> Object:
    metadata: Object = {"name": name, "namespace": namespace}
    for key, given in (("labels", labels), ("annotations", annotations)):
        if given:
            metadata[key] = dict(given)
    return metadata


def _port(port: int | Object) -> Object:
    return {"name": f"p{port}", "port": port, "protocol": "TCP"} if isinstance(port, int) else port
