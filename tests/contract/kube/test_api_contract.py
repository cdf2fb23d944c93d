"""What the double answers to lists and watches is what a real API server answers: each test runs against both."""

import pytest

from tests.kube.api import Api
from tests.kube.objects import names_of, pod, resource, service, version_of

SERVICES = resource("Service")


def test_a_list_holds_the_objects_in_order_of_their_names_and_says_their_kind_once(api: Api) -> None:
    for name in ("c", "a", "b"):
        api.create(service(name))
    found = api.list("Service")
    assert (found["kind"], found["apiVersion"]) == ("ServiceList", "v1")
    assert names_of(found["items"]) == ["a", "b", "c"]
    assert all("kind" not in item and "apiVersion" not in item for item in found["items"])
    assert int(version_of(found)) >= max(int(version_of(item)) for item in found["items"])


def test_a_list_of_the_cluster_holds_every_namespace(api: Api) -> None:
    api.create(service("here"))
    api.create(service("there", namespace=f"{api.namespace}-other"))
    assert {"here", "there"} <= set(names_of(api.list("Service", everywhere=True)["items"]))
    assert names_of(api.list("Service")["items"]) == ["here"]


def test_an_empty_list_has_a_version_to_watch_from(api: Api) -> None:
    found = api.list("Service")
    assert found["items"] == []
    assert int(version_of(found)) > 0


def test_pages_together_are_the_list_as_it_was_at_the_first_page(api: Api) -> None:
    for number in range(5):
        api.create(service(f"s{number}"))
    path = SERVICES.path(api.namespace)
    first = api.client.get(path, limit="2").expect(200)
    api.delete("Service", api.namespace, "s3")
    api.create(service("s9"))
    second = api.client.get(path, limit="2", **{"continue": first["metadata"]["continue"]}).expect(200)
    third = api.client.get(path, limit="2", **{"continue": second["metadata"]["continue"]}).expect(200)
    assert [names_of(page["items"]) for page in (first, second, third)] == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    assert version_of(first) == version_of(second) == version_of(third)
    assert [page["metadata"].get("remainingItemCount") for page in (first, second, third)] == [3, 1, None]
    assert not third["metadata"].get("continue")


def test_a_list_from_the_cache_is_not_cut_into_pages(api: Api) -> None:
    """resourceVersion=0 with a limit. Newer servers may cut it, and then say where to go on."""
    for number in range(3):
        api.create(service(f"s{number}"))
    with api.watch("Service", resourceVersion="0") as watch:  # a cache may lag behind: now it does not
        assert len(watch.take(3)) == 3
    page = api.client.get(SERVICES.path(api.namespace), limit="2", resourceVersion="0").expect(200)
    assert len(page["items"]) == 3 or page["metadata"].get("continue")


def test_a_page_that_is_asked_for_too_late_is_gone(api: Api) -> None:
    for number in range(3):
        api.create(service(f"s{number}"))
    path = SERVICES.path(api.namespace)
    token = api.client.get(path, limit="1").expect(200)["metadata"]["continue"]
    api.create(service("s9"))
    api.server.compact()
    refused = api.client.get(path, limit="1", **{"continue": token})
    assert (refused.status, refused.body["reason"], refused.body["code"]) == (410, "Expired", 410)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=web", ["a", "b"]),
        ("app==web,tier=1", ["a"]),
        ("app!=web", ["c", "d"]),
        ("tier", ["a", "b"]),
        ("!app", ["d"]),
        ("app in (dns, web),!tier", ["c"]),
        ("tier notin (1)", ["b", "c", "d"]),
    ],
)
def test_a_label_selector_selects(api: Api, selector: str, found: list[str]) -> None:
    labels = {"a": {"app": "web", "tier": "1"}, "b": {"app": "web", "tier": "2"}, "c": {"app": "dns"}, "d": {}}
    for name, given in labels.items():
        api.create(service(name, labels=given))
    assert names_of(api.list("Service", labelSelector=selector)["items"]) == found


def test_a_field_selector_selects_by_name_and_by_node(api: Api) -> None:
    api.create(service("a"))
    api.create(service("b"))
    api.create(pod("p1", "node1"))
    api.create(pod("p2", "node2"))
    assert names_of(api.list("Service", fieldSelector="metadata.name=b")["items"]) == ["b"]
    assert names_of(api.list("Pod", fieldSelector="spec.nodeName=node2")["items"]) == ["p2"]


def test_a_selector_that_cannot_be_understood_is_a_bad_request(api: Api) -> None:
    refused = api.client.get(SERVICES.path(api.namespace), labelSelector="a in (b")
    assert (refused.status, refused.body["reason"]) == (400, "BadRequest")


def test_a_watch_goes_on_where_the_list_ended(api: Api) -> None:
    """No event is lost between the two, and each carries the whole object with its kind and its new version."""
    api.create(service("old"))
    since = version_of(api.list("Service"))
    made = api.create(service("web"))
    changed = api.replace({**made, "spec": {**made["spec"], "ports": [{"name": "p81", "port": 81, "protocol": "TCP"}]}})
    api.delete("Service", api.namespace, "web")
    with api.watch("Service", resourceVersion=since) as watch:
        events = [next(watch) for _ in range(4)]
    assert [one["type"] for one in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert all(one["object"]["kind"] == "Service" for one in events)
    versions = [int(version_of(one["object"])) for one in events]
    assert versions == sorted(set(versions))
    assert version_of(events[2]["object"]) == version_of(changed)
    assert events[3]["object"]["spec"]["ports"][0]["port"] == 81


@pytest.mark.parametrize("version", ["", "0"], ids=["no version", "version 0"])
def test_a_watch_that_names_no_version_begins_with_what_there_is(api: Api, version: str) -> None:
    api.create(service("a", vips=()))
    api.create(service("b", vips=()))
    with api.watch("Service", resourceVersion=version) as watch:
        assert sorted(watch.take(2)) == [("ADDED", "a"), ("ADDED", "b")]
        api.create(service("c", vips=()))
        assert watch.take(1) == [("ADDED", "c")]


def test_an_object_enters_and_leaves_a_watch_with_its_labels(api: Api) -> None:
    since = version_of(api.list("Service"))
    made = api.create(service("web", vips=()))
    for value in ("yes", "no"):
        api.patch(made, {"metadata": {"labels": {"mine": value}}})
    with api.watch("Service", resourceVersion=since, labelSelector="mine=yes") as watch:
        assert watch.take(2) == [("ADDED", "web"), ("DELETED", "web")]


def test_a_watch_of_a_namespace_does_not_see_another(api: Api) -> None:
    since = version_of(api.list("Service"))
    api.create(service("there", namespace=f"{api.namespace}-other", vips=()))
    api.create(service("here", vips=()))
    with api.watch("Service", resourceVersion=since) as watch:
        assert watch.take(1) == [("ADDED", "here")]
    with api.watch("Service", everywhere=True, resourceVersion=since) as watch:
        assert watch.take(2) == [("ADDED", "there"), ("ADDED", "here")]


def test_a_watch_ends_by_itself_when_its_time_is_over(api: Api) -> None:
    since = version_of(api.list("Service"))
    with api.watch("Service", resourceVersion=since, timeoutSeconds="1") as watch:
        assert list(watch) == []


def test_a_bookmark_comes_before_the_end_of_a_watch_that_saw_nothing(api: Api) -> None:
    """It carries a version that is newer than the changes that the watch did not ask for."""
    since = version_of(api.list("Service"))
    nothing = "metadata.name=another"
    with (
        api.watch(
            "Service", resourceVersion=since, fieldSelector=nothing, timeoutSeconds="4", allowWatchBookmarks="true"
        ) as asking,
        api.watch("Service", resourceVersion=since, fieldSelector=nothing, timeoutSeconds="4") as other,
    ):
        made = api.create(service("web", vips=()))
        bookmark, *more = list(asking)
        assert list(other) == []
    assert {one["type"] for one in (bookmark, *more)} == {"BOOKMARK"}
    assert bookmark["object"]["kind"] == "Service"
    assert int(version_of(bookmark["object"])) >= int(version_of(made))
