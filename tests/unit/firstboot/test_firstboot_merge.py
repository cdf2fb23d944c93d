"""Who speaks, who has the last word, and what is never taken away."""

from pathlib import PurePosixPath

import pytest

from appliance.errors import ConfigError
from appliance.firstboot.merge import Change, Record, merge
from appliance.firstboot.seed import Seed

STICK = {"appliance.yaml": "a", "services/web.yaml": "w"}


def seed(files: dict[str, str], id_: str = "") -> Seed:
    return Seed("volume CIDATA", id_, {PurePosixPath(path): text.encode() for path, text in files.items()})


def said(*seeds: tuple[str, Seed], record: Record | None = None) -> tuple[dict[str, str], tuple[str, ...], Record]:
    """What is written and removed, and the record afterwards."""
    change = merge(seeds, record or {})
    written = {str(path): content.decode() for path, content in change.write.items()}
    return written, tuple(map(str, change.remove)), change.record


def test_a_new_medium_is_obeyed_whole() -> None:
    written, removed, _ = said(("volume", seed(STICK)))
    assert (written, removed) == (STICK, ())


def test_the_same_medium_says_nothing_the_second_time() -> None:
    """Also if the operator has changed the files meanwhile: what is said once is not said again."""
    _, _, record = said(("volume", seed(STICK)))
    assert merge([("volume", seed(STICK))], record) == Change()


def test_another_instance_id_has_the_same_files_written_anew() -> None:
    _, _, record = said(("volume", seed(STICK, "i-1")))
    assert said(("volume", seed(STICK, "i-2")), record=record)[0] == STICK


def test_a_medium_that_is_gone_takes_nothing_with_it() -> None:
    _, _, record = said(("volume", seed(STICK)), ("credentials", seed({"kubeconfig": "k"})))
    assert not merge([("credentials", seed({"kubeconfig": "k"}))], record)
    assert not merge([], record)


def test_what_a_changed_medium_no_longer_names_is_removed() -> None:
    _, _, record = said(("volume", seed(STICK)))
    written, removed, _ = said(("volume", seed({"appliance.yaml": "a"})), record=record)
    assert (written, removed) == ({"appliance.yaml": "a"}, ("services/web.yaml",))


def test_a_medium_that_lost_the_configuration_is_taken_for_a_mistake() -> None:
    _, _, record = said(("volume", seed(STICK)))
    with pytest.raises(ConfigError, match=r"^volume CIDATA: appliance.yaml is no longer there \(put it back; "):
        merge([("volume", seed({"services/web.yaml": "w"}))], record)


def test_the_first_medium_has_the_last_word_on_a_file() -> None:
    stick, credentials = seed({"appliance.yaml": "stick"}), seed({"appliance.yaml": "firmware", "kubeconfig": "k"})
    written, _, _ = said(("volume", stick), ("credentials", credentials))
    assert written == {"appliance.yaml": "stick", "kubeconfig": "k"}


def test_a_medium_that_changed_does_not_speak_for_one_that_did_not() -> None:
    """A password that is rotated leaves alone what the operator made of the stick's files since."""
    _, _, record = said(("volume", seed(STICK)), ("credentials", seed({"kubeconfig": "k"})))
    written, _, _ = said(("volume", seed(STICK)), ("credentials", seed({"kubeconfig": "new"})), record=record)
    assert written == {"kubeconfig": "new"}


def test_a_file_that_one_medium_drops_and_another_still_names_comes_from_that_one() -> None:
    both = {"appliance.yaml": "a", "kubeconfig": "stick"}
    firmware = ("credentials", seed({"kubeconfig": "firmware"}))
    _, _, record = said(("volume", seed(both)), firmware)
    written, removed, _ = said(("volume", seed({"appliance.yaml": "a"})), firmware, record=record)
    assert (written, removed) == ({"appliance.yaml": "a", "kubeconfig": "firmware"}, ())
