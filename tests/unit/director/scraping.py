"""What a scrape of a director on fakes says, read by a parser that is not ours."""

from prometheus_client import Metric as Parsed
from prometheus_client.parser import text_string_to_metric_families

from appliance.director.loop import Director
from appliance.director.scrape import Scraper
from tests.fakes.counting import FakeCounting
from tests.unit.director.harness import Node


def scraper(node: Node, director: Director, *, destinations: bool = True) -> Scraper:
    counting = FakeCounting(node.ipvs)
    return Scraper(director.context, counting, "0.1.0", destinations=destinations, guard=node.guard)


async def scraped(scraping: Scraper) -> str:
    return "".join(await scraping.scrape())


class Page:
    """One scrape: ``value`` looks a sample up by its name and some of its labels."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.families: list[Parsed] = list(text_string_to_metric_families(written))

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        (found,) = self.values(name, **labels)
        return found

    def labels(self, name: str, label: str) -> list[str]:
        return [sample.labels[label] for family in self.families for sample in family.samples if sample.name == name]


async def page(scraping: Scraper) -> Page:
    return Page(await scraped(scraping))
