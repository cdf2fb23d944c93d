"""What all sections of the configuration share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, descriptions from docstrings, no values in error texts."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )
