"""The configuration reference is the schema's."""

from pathlib import Path

from appliance.config.reference import reference, tunnel_reference

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
WRITTEN = FOLDER / "configuration.md"


def test_the_written_reference_is_the_generated_one() -> None:
    """After a change: python -m appliance.config.reference > docs/reference/configuration.md."""
    assert WRITTEN.read_text(encoding="utf-8") == reference()


def test_the_written_reference_of_the_tunnel_agent_is_the_generated_one() -> None:
    """After a change: python -m appliance.config.reference tunnel > docs/reference/tunnel.md."""
    assert (FOLDER / "tunnel.md").read_text(encoding="utf-8") == tunnel_reference()
