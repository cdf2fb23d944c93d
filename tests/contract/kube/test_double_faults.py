"""The double misbehaves exactly as it is told to, and to nobody else."""

import http.client
import json
import ssl
from dataclasses import replace

import pytest

from tests.contract.bird.real_bird import eventually
from tests.kube.api import Api
from tests.kube.client import Client
from tests.kube.double import Double
from tests.kube.faults import Drops, Empties, Expires, Fails, Garbles, Stalls, Truncates
from tests.kube.objects import resource, service

SERVICES = resource("Service").path()


@pytest.fixture
def client(double: Double, double_api: Api) -> Client:
    """A client that does not wait long, and a Service to ask for."""
    double_api.create(service("web"))
    return replace(double.client(), timeout_s=0.5)


@pytest.mark.parametrize("code", [401, 403, 410, 429, 500, 503])
def test_it_answers_with_the_status_that_was_asked_for(double: Double, client: Client, code: int) -> None:
    double.misbehave(Fails(code, retry_after_s=3), times=1)
    answer = client.get(SERVICES)
    assert (answer.status, answer.body["kind"], answer.body["code"]) == (code, "Status", code)
    assert answer.headers["retry-after"] == "3"
    assert client.get(SERVICES).status == 200


def test_a_fault_meets_only_whom_it_is_meant_for_and_only_so_often(double: Double, client: Client) -> None:
    double.misbehave(Fails(500), verb="list", kind="Service", times=2)
    assert client.get("/api/v1/endpoints").status == 200
    assert client.get("/version").status == 200
    with client.watch(SERVICES) as watch:
        assert watch.take(1) == [("ADDED", "web")]
    assert [client.get(SERVICES).status for _ in range(3)] == [500, 500, 200]
    assert double.asked("list", "Service") == 3
    double.misbehave(Fails(500))
    assert client.get("/version").status == 500
    double.behave()
    assert client.get("/version").status == 200


def test_it_drops_a_connection_before_it_says_anything(double: Double, client: Client) -> None:
    double.misbehave(Drops())
    with pytest.raises(ConnectionResetError):
        client.get(SERVICES)


def test_it_drops_a_connection_in_the_middle_of_an_answer(double: Double, client: Client) -> None:
    double.misbehave(Drops(after_bytes=40))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        client.get(SERVICES)


@pytest.mark.parametrize("after_bytes", [None, 40], ids=["from the start", "after 40 bytes"])
def test_it_says_nothing_more(double: Double, client: Client, after_bytes: int | None) -> None:
    double.misbehave(Stalls(after_bytes))
    with pytest.raises(TimeoutError):
        client.get(SERVICES)
    eventually(lambda: double.connections == 0)


def test_it_cuts_a_list_and_ends_it_properly(double: Double, client: Client) -> None:
    double.misbehave(Truncates(after_bytes=40))
    with pytest.raises(json.JSONDecodeError):
        client.get(SERVICES)


def test_it_cuts_a_line_of_a_watch(double: Double, client: Client) -> None:
    double.misbehave(Truncates(after_bytes=40), verb="watch")
    with client.watch(SERVICES) as watch, pytest.raises(json.JSONDecodeError):
        next(watch)


def test_it_answers_an_empty_list_that_looks_complete(double: Double, client: Client) -> None:
    double.misbehave(Empties(), verb="list")
    body = client.get(SERVICES, limit="1").expect(200)
    assert body["items"] == []
    assert body["metadata"] == {"resourceVersion": str(double.store.version)}


def test_it_answers_what_is_no_json(double: Double, client: Client) -> None:
    double.misbehave(Garbles())
    with pytest.raises(json.JSONDecodeError):
        client.get(SERVICES)


def test_a_watch_is_expired_at_its_begin_or_in_the_middle(double: Double, client: Client) -> None:
    version = str(double.store.version)
    double.misbehave(Expires(), verb="watch", times=1)
    with client.watch(SERVICES, resourceVersion=version) as watch:
        assert next(watch)["object"]["code"] == 410
    with client.watch(SERVICES, resourceVersion=version) as watch:
        double.interrupt(Expires())
        assert next(watch)["object"]["code"] == 410


def test_after_an_error_a_watch_stays_open_and_says_nothing_more(double: Double, client: Client) -> None:
    """A real server does either: it closes the watch, or it leaves that to the client."""
    double.misbehave(Expires(), verb="watch")
    with client.watch(SERVICES, within_s=0.3) as watch:
        next(watch)
        with pytest.raises(TimeoutError):
            next(watch)
    eventually(lambda: double.connections == 0)


def test_standing_watches_get_garbage_half_a_line_or_a_reset(double: Double, client: Client) -> None:
    version = str(double.store.version)
    for fault in (Garbles(b"{{{"), Truncates(20)):
        with client.watch(SERVICES, resourceVersion=version) as watch:
            double.interrupt(fault)
            with pytest.raises(json.JSONDecodeError):
                next(watch)
    with client.watch(SERVICES, resourceVersion=version) as watch:
        double.interrupt(Drops())
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            next(watch)


def test_a_pause_leaves_watches_half_open_and_loses_nothing(double: Double, client: Client) -> None:
    with client.watch(SERVICES, resourceVersion=str(double.store.version)) as watch:
        double.pause()
        double.store.create(resource("Service"), service("later"))
        with pytest.raises(TimeoutError):
            client.get("/version")
        double.resume()
        assert watch.take(1) == [("ADDED", "later")]


def test_all_connections_are_dropped_at_once(double: Double, client: Client) -> None:
    with client.watch(SERVICES, resourceVersion=str(double.store.version)) as watch:
        double.drop_connections()
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            next(watch)
    assert client.get(SERVICES).status == 200


def test_a_watch_whose_client_went_away_ends(double: Double, client: Client) -> None:
    with client.watch(SERVICES):
        eventually(lambda: double.connections == 1)
    eventually(lambda: double.connections == 0)


def test_a_bookmark_comes_as_often_as_it_is_told_to() -> None:
    with Double(bookmark_interval_s=0.05) as double:
        path = resource("Service").path()
        with double.client().watch(path, resourceVersion="1", allowWatchBookmarks="true") as watch:
            assert [one["type"] for one, _ in zip(watch, range(3), strict=False)] == ["BOOKMARK"] * 3


def test_it_serves_tls_and_can_change_its_authority() -> None:
    with Double(tls=True) as double:
        client = double.client()
        assert client.get("/version").status == 200
        double.rotate_authority()
        with pytest.raises(ssl.SSLCertVerificationError):
            client.get("/version")
        assert double.client().get("/version").status == 200


def test_a_kubeconfig_names_the_server_and_a_token_or_a_file_that_holds_it(double: Double) -> None:
    for token_file in (False, True):
        old = json.loads(double.kubeconfig(token_file=token_file).read_text())
        double.rotate_token()
        new = json.loads(double.kubeconfig(token_file=token_file).read_text())
        assert new["clusters"][0]["cluster"]["server"] == double.url
        assert (old["users"] == new["users"]) == token_file
