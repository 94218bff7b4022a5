"""The section `compare`."""

from typing import Annotated

from pydantic import Field

from segbench.params.fields import Section


class Compare(Section):
    """The qualitative figure."""

    figure_images: Annotated[int, Field(ge=1, le=12, strict=True)]
