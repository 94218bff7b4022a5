"""The section `variants`: entries of `models` with changed values, for one-factor pairs."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from segbench.params.fields import Name, Section
from segbench.params.models import OF_TRAINING, AnyModel

DiscriminatedModel = Annotated[AnyModel, Field(discriminator="architecture")]
ANY_MODEL: TypeAdapter[AnyModel] = TypeAdapter(DiscriminatedModel)


class Variant(Section):
    """A model with changed values. of: the model's name in `models`; model: its entry with the changes."""

    of: Name
    model: DiscriminatedModel


def with_whole_variants(tree: Any) -> Any:
    """The values of params.yaml, where each entry of `variants` holds all values of its model, not the changes alone.

    Whatever is no mapping stays as it is, for validation to refuse. Variants of a model that is itself refused are left
    out, so that its mistake is told once. Raises pydantic's error for a model that is not in
    `models`, for an entry that changes nothing or its training, and for one with a model's name.
    """
    models, variants = (tree.get(name) if isinstance(tree, dict) else None for name in ("models", "variants"))
    if not isinstance(models, dict) or not isinstance(variants, dict):
        return tree
    whole = {name: _whole(name, variant, models) for name, variant in variants.items()}
    return {**tree, "variants": {name: variant for name, variant in whole.items() if _is_valid(models[variant["of"]])}}


def _whole(name: Any, variant: Any, models: dict[Any, Any]) -> dict[str, Any]:
    if not isinstance(variant, dict):
        raise _mistake(f"variants.{name} is {variant}; it must be a model's name under of, and changed values")
    of, changes = variant.get("of"), {key: value for key, value in variant.items() if key != "of"}
    if of is None:
        raise _mistake(f"variants.{name}.of is missing")
    if not isinstance(of, str) or of not in models:
        raise _mistake(f"variants.{name}.of is {of}; it must be one of {', '.join(map(str, models))}")
    if name in models:
        raise _mistake(f"variants.{name} has a model's name; choose another")
    model = models[of] if isinstance(models[of], dict) else {}
    unchanged = [key for key, value in changes.items() if key in model and model[key] == value]
    if unchanged or not changes:
        what = f"{unchanged[0]} is as in {of}" if unchanged else "nothing is changed"
        raise _mistake(f"variants.{name}: {what}; name only values that differ from models.{of}")
    for key in sorted(OF_TRAINING):
        if key in changes:
            raise _mistake(f"variants.{name} changes {key}; a variant is trained as {of} is")
    return {"of": of, "model": {**model, **changes}}


def _is_valid(model: Any) -> bool:
    try:
        ANY_MODEL.validate_python(model)
    except ValidationError:
        return False
    return True


def _mistake(text: str) -> PydanticCustomError:
    return PydanticCustomError("value_error", "{error}", {"error": text})
