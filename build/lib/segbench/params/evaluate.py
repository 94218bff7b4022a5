"""The section `evaluate`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from segbench.params.fields import Positive, Section, ascending


class Evaluate(Section):
    """Scores near boundaries between classes."""

    trimap_widths_px: Annotated[list[Positive], Field(min_length=1), AfterValidator(ascending)]
