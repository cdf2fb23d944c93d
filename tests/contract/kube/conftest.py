"""The API servers that one suite runs against: the double, and a real one that serves the whole session."""

import itertools
from collections.abc import Iterator

import pytest

from tests.kube.api import Api
from tests.kube.cluster import Cluster
from tests.kube.double import Double

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The real API server. It takes seconds to start: tests share it, each with a namespace of its own."""
    with Cluster() as running:
        yield running


@pytest.fixture
def double() -> Iterator[Double]:
    """The double, fresh, with EndpointSlices of discovery.k8s.io/v1."""
    with Double() as running:
        yield running


@pytest.fixture(params=["double", "real"])
def api(request: pytest.FixtureRequest) -> Api:
    """Each of them in turn, with an empty namespace."""
    server = request.getfixturevalue("double" if request.param == "double" else "cluster")
    return Api(server, f"test-{next(_numbers)}")


@pytest.fixture
def double_api(double: Double) -> Api:
    """The double alone, for what only it can do."""
    return Api(double, "test")


@pytest.fixture
def real_api(cluster: Cluster) -> Api:
    """The real server alone, for what only it can show."""
    return Api(cluster, f"test-{next(_numbers)}")
