"""The section `benchmark`."""

from typing import Annotated

from pydantic import Field

from segbench.params.fields import Name, Section


class Benchmark(Section):
    """What `dvc repro` runs: names of entries of `datasets` and `models`, and of `variants`, for the claims alone."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    variants: list[Name]
