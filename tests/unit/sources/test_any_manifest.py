"""Whatever stands in a file, reading it gives services or mistakes, and never any other exception."""

import json

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.desired import ServiceDefaults, canonical
from appliance.sources.kubernetes.translate import translate
from appliance.sources.manifest import parse_manifest
from tests.unit.sources.source_strategies import natives, objects, trees

bundles = st.lists(objects | natives, max_size=4)


def survives(text: str) -> None:
    manifest = parse_manifest("any.yaml", text, ServiceDefaults())
    translation = translate(manifest.objects, ServiceDefaults(), from_files=True)
    for service in (*manifest.services, *translation.services):
        assert service.backends == canonical(service.backends)
        assert len({backend.address for backend in service.backends}) == len(service.backends)
        assert 1 <= service.key.port <= 65535
    for remark in (*manifest.mistakes, *translation.problems, *translation.notes):
        assert str(remark).startswith("any.yaml:")
        assert str(remark).isprintable()
        assert len(str(remark)) < 2000


@given(trees)
def test_any_tree_gives_services_or_mistakes(tree: object) -> None:
    survives(json.dumps(tree))


@given(natives)
def test_any_short_form_gives_services_or_mistakes(tree: object) -> None:
    survives(json.dumps(tree))
    survives(json.dumps({"services": [tree, tree]}))


@given(bundles)
def test_any_kubernetes_like_objects_give_services_or_mistakes(trees: list[object]) -> None:
    survives("\n---\n".join(json.dumps(tree) for tree in trees))
    survives(json.dumps({"apiVersion": "v1", "kind": "List", "items": trees}))


@given(st.text())
def test_any_text_gives_services_or_mistakes(text: str) -> None:
    survives(text)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n,?<~0/.", max_size=60))
def test_any_text_of_yaml_signs_gives_services_or_mistakes(text: str) -> None:
    survives(text)
