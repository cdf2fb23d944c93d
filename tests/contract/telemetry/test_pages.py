"""A director on fakes with its two ports on loopback, asked as Prometheus and a kubelet would ask."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from appliance.director.loop import Director
from appliance.director.observability import Observation, tell_on_signal
from appliance.director.scrape import Scraper
from appliance.telemetry.http import Endpoint, Listeners
from appliance.telemetry.meter import Meter
from tests.contract.telemetry.asking import DEADLINE_S, free_port, got, in_time
from tests.fakes.counting import FakeCounting
from tests.unit.director.harness import VIP, Node, until, web

LOOPBACK = ip_address("127.0.0.1")


class Place:
    """A node whose director answers on two ports."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder)
        self.counting = FakeCounting(self.node.ipvs)
        self.metrics = Endpoint("telemetry.metrics_port", LOOPBACK, free_port())
        self.health = Endpoint("telemetry.health_port", LOOPBACK, free_port())

    def play(self, story: Callable[[Director], Awaitable[None]]) -> None:
        async def whole() -> None:
            with Listeners() as listeners:
                listeners.take([self.metrics, self.health])
                async with self.node.running() as director:
                    observation = Observation(listeners, Meter())
                    scraper = Scraper(director.context, self.counting, "0.1.0")
                    places = {"metrics": self.metrics, "health": self.health}
                    servers = [
                        asyncio.create_task(each) for each in observation.answering(places, scraper, director.context)
                    ]
                    try:
                        await in_time(story(director))
                    finally:
                        for each in servers:
                            each.cancel()
                        await asyncio.wait(servers)
                        await scraper.close()

        asyncio.run(whole())

    async def asked(self, path: str, *, of: Endpoint) -> tuple[int, str]:
        status, _, body = await asyncio.to_thread(got, of.port, path)
        return status, body.decode()


async def settled(place: Place) -> None:
    place.node.want(web())
    await until(lambda: VIP in place.node.router.held)


def test_prometheus_gets_every_service_and_a_kubelet_its_answers(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def story(_: Director) -> None:
        assert (await place.asked("/readyz", of=place.health))[0] == 503
        await settled(place)
        status, text = await place.asked("/metrics", of=place.metrics)
        assert status == 200
        names = {family.name for family in text_string_to_metric_families(text)}
        assert {"balanced_director_vip_announced", "balanced_ipvs_controller_dest_bytes_in"} <= names
        assert await place.asked("/healthz", of=place.health) == (200, "OK\n")
        assert await place.asked("/readyz", of=place.health) == (200, "OK\n")
        status, text = await place.asked("/checks", of=place.health)
        assert [each["name"] for each in json.loads(text)] == ["pass", "ready", "source file"]
        assert (await place.asked("/metrics", of=place.health))[0] == 404, "one port shows nothing of the other"

    place.play(story)


def test_the_kernel_is_read_in_a_thread_and_once_for_all_that_ask_meanwhile(tmp_path: Path) -> None:
    place = Place(tmp_path)
    release = threading.Event()

    async def story(_: Director) -> None:
        await settled(place)
        place.counting.before = lambda: release.wait(DEADLINE_S)
        asking = [asyncio.create_task(place.asked("/metrics", of=place.metrics)) for _ in range(3)]
        await until(lambda: place.counting.readings)
        assert await place.asked("/healthz", of=place.health) == (200, "OK\n"), "the loop goes on meanwhile"
        place.node.want(web(backends=1))
        await until(lambda: sum(each.weight for each in place.node.ipvs.dump()[web().key].destinations) == 1)
        release.set()
        assert [status for status, _ in await asyncio.gather(*asking)] == [200] * 3
        assert place.counting.readings < 3
        assert threading.get_ident() not in place.counting.threads

    place.play(story)


def test_a_scrape_that_hangs_in_the_kernel_does_not_hold_up_a_withdrawal(tmp_path: Path) -> None:
    place = Place(tmp_path)
    release = threading.Event()

    async def story(_: Director) -> None:
        await settled(place)
        place.counting.before = lambda: release.wait(DEADLINE_S)
        asking = asyncio.create_task(place.asked("/metrics", of=place.metrics))
        await until(lambda: place.counting.readings)
        place.node.want(web(ready=0))
        assert await until(lambda: VIP not in place.node.router.held) < 1
        release.set()
        await asking

    place.play(story)


def test_sigusr1_puts_the_state_into_the_journal(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def story(director: Director) -> None:
        await settled(place)
        tell_on_signal(director.context, "0.1.0")
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            await until(lambda: "state of a VIP" in place.node.log.getvalue())
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
        assert '"vip":"10.50.0.1"' in place.node.log.getvalue()

    place.play(story)
