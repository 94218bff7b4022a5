"""The types of single values, and the base of all sections."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from segbench.files import project_root


class Section(BaseModel):
    """A section of params.yaml: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if unknown:
            known = ", ".join(cls.model_fields)
            raise PydanticCustomError("unknown_key", "{key}\n{known}", {"key": str(unknown[0]), "known": known})
        return data


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "Input should be an odd number")
    return value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take yes and no for 1 and 0
        raise PydanticCustomError("float_type", "Input should be a valid number")
    return value


def _reachable(value: Path) -> Path:
    """Refuse a name that the system cannot look up: too long, behind a folder that may not be read, or with a NUL."""
    try:
        (project_root() / value).lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise PydanticCustomError(
            "path", "Input should be a path that can be read ({why})", {"why": str(why)}
        ) from None
    return value


def is_existing_file(name: str) -> bool:
    """Whether there is a file of that name, relative to the project's folder."""
    try:
        return (project_root() / _reachable(Path(name))).is_file()
    except PydanticCustomError:
        return False


def _existing_folder(value: Path) -> Path:
    if not (project_root() / value).is_dir():
        raise PydanticCustomError("folder", "Input should be an existing folder")
    return value


def distinct(values: list[Any]) -> list[Any]:
    """Refuse a list that holds a value twice."""
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "Input should be a list in which each stands once")
    return values


def ascending(values: list[Any]) -> list[Any]:
    """Refuse a list whose values do not increase."""
    if any(second <= first for first, second in pairwise(values)):
        raise PydanticCustomError("ascending", "Input should be in ascending order, each once")
    return values


Number = Annotated[float, BeforeValidator(_no_bool)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Part = Annotated[Number, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, strict=True)]
Odd = Annotated[Count, AfterValidator(_odd)]
Side = Annotated[int, Field(ge=16, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Rates = Annotated[list[Count], Field(min_length=1)]
Range = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(ascending)]
OutputStride = Literal[8, 16, 32]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
ReachablePath = Annotated[Path, AfterValidator(_reachable)]
"""Of a file or folder, which need not be there."""
Folder = Annotated[ReachablePath, AfterValidator(_existing_folder)]
