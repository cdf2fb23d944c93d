"""What the double answers to writes is what a real API server answers: each test runs against both."""

import pytest

from tests.kube.api import Api
from tests.kube.client import STRATEGIC_PATCH
from tests.kube.objects import endpoint_slice, endpoints, event, names_of, resource, service, version_of

SERVICES = resource("Service")


def test_the_resource_version_says_who_was_first(api: Api) -> None:
    """Two write what they made of the same version: the second one gets a conflict, and nothing is changed."""
    made = api.create(service("web"))
    first = api.replace({**made, "metadata": {**made["metadata"], "labels": {"by": "first"}}})
    refused = api.try_replace({**made, "metadata": {**made["metadata"], "labels": {"by": "second"}}})
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert api.get("Service", "web") == first


def test_a_write_that_changes_nothing_makes_no_version_and_no_event(api: Api) -> None:
    made = api.create(service("web"))
    assert version_of(api.replace(made)) == version_of(made)


def test_what_exists_cannot_be_created_again(api: Api) -> None:
    api.create(service("web"))
    path = SERVICES.path(api.namespace)
    refused = api.client.request("POST", path, service("web", namespace=api.namespace))
    assert (refused.status, refused.body["reason"]) == (409, "AlreadyExists")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_what_does_not_exist_is_not_found(api: Api, method: str) -> None:
    path = SERVICES.path(api.namespace, "web")
    body = {"metadata": {"labels": {"a": "b"}}} if method == "PATCH" else None
    refused = api.client.request(method, path, body, content_type="application/merge-patch+json")
    assert (refused.status, refused.body["reason"]) == (404, "NotFound")


def test_a_deletion_can_insist_on_a_version_and_on_an_identity(api: Api) -> None:
    made = api.create(service("web"))
    path = SERVICES.path(api.namespace, "web")
    for preconditions in ({"resourceVersion": "1"}, {"uid": "another"}):
        refused = api.client.request("DELETE", path, {"preconditions": preconditions})
        assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    held = {"uid": made["metadata"]["uid"], "resourceVersion": version_of(made)}
    assert api.client.request("DELETE", path, {"preconditions": held}).expect(200)["status"] == "Success"


def test_a_status_is_written_by_its_subresource_alone(api: Api) -> None:
    given = {"loadBalancer": {"ingress": [{"ip": "10.50.0.7"}]}}
    path = SERVICES.path(api.namespace)
    made = api.client.request("POST", path, service("web", namespace=api.namespace)).expect(201)
    assert made["status"] == {"loadBalancer": {}}
    assert api.try_replace({**made, "status": given}).expect(200)["status"] == {"loadBalancer": {}}
    assert api.patch(made, {"status": given}, status=True)["status"] == given
    kept = api.patch(made, {"spec": {"externalTrafficPolicy": "Local"}, "status": {"loadBalancer": None}})
    assert kept["status"] == given
    written = api.client.request("PUT", f"{path}/web/status", {**kept, "spec": made["spec"], "status": {}}).expect(200)
    assert written["status"] == {"loadBalancer": {}} or written["status"] == {}
    assert written["spec"]["externalTrafficPolicy"] == "Local"


def test_a_strategic_patch_of_a_status_replaces_the_addresses(api: Api) -> None:
    api.create(service("web", vips=("10.50.0.1", "10.50.0.2")))
    wanted = {"status": {"loadBalancer": {"ingress": [{"ip": "10.50.0.3"}]}}}
    path = SERVICES.path(api.namespace, "web", "status")
    patched = api.client.request("PATCH", path, wanted, content_type=STRATEGIC_PATCH).expect(200)
    assert patched["status"] == wanted["status"]


def test_an_event_is_created_counted_up_and_listed_by_the_object_that_it_is_about(api: Api) -> None:
    regarding = api.create(service("web"))
    made = api.create(event(regarding, "Announced", "10.50.0.1:80/TCP is announced"))
    counted = api.patch(made, {"count": 2})
    assert (counted["count"], counted["reason"]) == (2, "Announced")
    found = api.list("Event", fieldSelector="involvedObject.name=web,involvedObject.kind=Service")
    assert [one["message"] for one in found["items"]] == ["10.50.0.1:80/TCP is announced"]


def test_an_event_of_another_namespace_than_its_object_is_invalid(api: Api) -> None:
    regarding = api.create(service("web"))
    wrong = event(regarding, "Announced", "text")
    wrong["involvedObject"]["namespace"] = "elsewhere"
    refused = api.client.request("POST", resource("Event").path(api.namespace), wrong)
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")


def test_an_event_of_the_new_group_needs_all_of_its_fields(api: Api) -> None:
    regarding = api.create(service("web"))
    new = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "web.1", "namespace": api.namespace},
        "regarding": event(regarding, "", "")["involvedObject"],
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "balanced.demonware.net/director",
        "reportingInstance": "lb1",
        "action": "Announce",
        "reason": "Announced",
        "type": "Normal",
        "note": "10.50.0.1:80/TCP is announced",
    }
    path = resource("Event", "events.k8s.io/v1").path(api.namespace)
    for missing in ("eventTime", "reportingController", "reportingInstance", "action", "reason", "type"):
        refused = api.client.request("POST", path, {name: value for name, value in new.items() if name != missing})
        assert (refused.status, refused.body["reason"]) == (422, "Invalid"), missing
    assert api.client.request("POST", path, new).expect(201)["note"] == new["note"]


def test_endpoints_and_slices_are_kept_as_they_were_written(api: Api) -> None:
    api.create(service("web"))
    made = api.create(endpoints("web", ["10.0.0.1"], not_ready=["10.0.0.2"]))
    assert made["subsets"][0]["notReadyAddresses"] == [{"ip": "10.0.0.2"}]
    written = api.create(endpoint_slice("web", ["10.0.0.1"]))
    assert written["endpoints"][0]["addresses"] == ["10.0.0.1"]
    found = api.list("EndpointSlice", labelSelector="kubernetes.io/service-name=web")
    assert names_of(found["items"]) == ["web-1"]
