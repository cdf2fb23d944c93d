"""Services that are written in files -> claims, to try out what an allocator would do."""

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from appliance.errors import SourceError
from appliance.sources.kubernetes.claims import ClaimedService, read_service
from appliance.sources.manifest import plain
from appliance.sources.nodes import Page, documents


def read_claims(paths: Iterable[Path], classes: Collection[str]) -> dict[str, ClaimedService]:
    """Every Service in these files of YAML or JSON, by owner; other kinds are passed over.

    Raises:
        SourceError: a file cannot be read, or what stands in it is no manifest.
    """
    found: dict[str, ClaimedService] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            hint = "give files as kubectl get services -A -o yaml writes them"
            raise SourceError(f"{path}: cannot be read: {error}", hint=hint) from None
        page = Page(str(path))
        trees = [plain(document, page) for document in documents(text, page)]
        if page.mistakes:
            raise SourceError("; ".join(map(str, page.mistakes)))
        for tree in _services(trees):
            try:
                claimed = read_service(msgspec.json.encode(tree), classes)
            except ValueError as error:
                raise SourceError(f"{path}: a Service that is none: {error}") from None
            if claimed is not None:
                found[claimed.claim.owner] = claimed
    return found


def _services(trees: Iterable[object]) -> Iterable[object]:
    for tree in trees:
        if not isinstance(tree, dict):
            continue
        if tree.get("kind") in {"List", "ServiceList"}:
            items = tree.get("items") or []
            kind = "Service" if tree["kind"] == "ServiceList" else None
            yield from _services({"kind": kind} | item if kind else item for item in items if isinstance(item, dict))
        elif tree.get("kind") == "Service":
            yield tree
