"""Random transforms of training images and their label maps, by albumentations' names and arguments."""

import inspect
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import cv2
import numpy as np

from segbench.errors import InputError
from segbench.images import RGBImage, scale_image
from segbench.labels import IGNORE_INDEX, LabelMap, resize_label_map

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import would ask a server for a newer version
# Keeps albumentations from importing torch, which takes seconds and serves one transform that is not used.
_had_torch = "torch" in sys.modules
if not _had_torch:
    sys.modules["torch"] = None  # type: ignore[assignment]
import albumentations as A  # noqa: E402

if not _had_torch:
    del sys.modules["torch"]

cv2.setNumThreads(1)  # images are small, and other processes use the other cores

Transform = dict[str, dict[str, Any]]
"""{name: arguments}, as in params.yaml."""

COMPOSITIONS = A.OneOf | A.SomeOf | A.OneOrOther | A.RandomOrder | A.Sequential
TRIAL_IMAGE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
TRIAL_LABEL_MAP = np.full(TRIAL_IMAGE.shape[:2], 7, np.uint8)
ADVICE = ".*(special case of|very slow)"
"""Warnings of albumentations that are only advice. All others are treated as mistakes."""


class Augmentation:
    """Scaling, the named transforms, then padding and a crop at a random position or at the centre.

    transforms: one {name: arguments} each, in order. OneOf and other compositions have theirs in the argument
    `transforms`. Borders that a transform makes are IGNORE_INDEX in the label map. Raises InputError for a name or
    argument that albumentations does not know, and for a transform that does not make uint8 RGB samples, or needs more
    than an image and its label map.
    """

    def __init__(
        self, transforms: Sequence[Transform], *, scale: float, crop_px: tuple[int, int],
        position: Literal["random", "center"] = "random",
    ) -> None:  # fmt: skip
        self.scale = scale
        height, width = crop_px
        crop = A.RandomCrop if position == "random" else A.CenterCrop
        self._compose = A.Compose(
            [
                *(_build(entry, f"params.yaml: augment.transforms.{index}") for index, entry in enumerate(transforms)),
                A.PadIfNeeded(height, width, position=position, fill=127, fill_mask=IGNORE_INDEX),
                crop(height, width),
            ]
        )

    def __call__(self, image: RGBImage, label_map: LabelMap, *, seed: int) -> tuple[RGBImage, LabelMap]:
        """A sample, (crop height, crop width, 3) and (crop height, crop width). The same seed gives the same sample."""
        return self.transform(*self.scaled(image, label_map), seed=seed)

    def scaled(self, image: RGBImage, label_map: LabelMap) -> tuple[RGBImage, LabelMap]:
        """The image and its label map at `scale` times the image's size."""
        image = scale_image(image, scale=self.scale)
        return image, resize_label_map(label_map, height_px=image.shape[0], width_px=image.shape[1])

    def transform(self, image: RGBImage, label_map: LabelMap, *, seed: int) -> tuple[RGBImage, LabelMap]:
        """A sample from an image and label map that `scaled` returned."""
        set_random_seeds(self._compose, seed)
        try:
            sample = self._compose(image=image, mask=label_map)
        except Exception as error:  # albumentations raises many types
            raise InputError(f"params.yaml: augment.transforms: {' '.join(str(error).split())}") from None
        return np.ascontiguousarray(sample["image"]), np.ascontiguousarray(sample["mask"])

    def serialised(self) -> dict[str, Any]:
        """The transforms in albumentations' own format, with every default spelt out."""
        return A.to_dict(self._compose)


def set_random_seeds(compose: A.BaseCompose, seed: int) -> None:
    """Seed each transform differently: albumentations gives all the same seed, which ties their choices together."""
    transforms = list(_nested(compose))
    seeds = np.random.SeedSequence(seed).generate_state(len(transforms))
    for transform, own_seed in zip(transforms, seeds, strict=True):
        transform.set_random_seed(int(own_seed))


def _nested(transform: A.BasicTransform | A.BaseCompose) -> Iterator[A.BasicTransform | A.BaseCompose]:
    """The transform and all inside it, outer before inner, since seeding one also seeds those inside it."""
    yield transform
    if isinstance(transform, A.BaseCompose):
        for inner in transform.transforms:
            yield from _nested(inner)


def _build(entry: Any, where: str) -> A.BasicTransform | A.BaseCompose:
    """Build the transform of one {name: arguments}. Raises InputError that begins with `where` for a mistake in it."""
    if not (isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict)):
        raise InputError(f"{where} is {entry}; it must be one {{name: {{argument: value}}}}")
    name, arguments = next(iter(entry.items()))
    where = f"{where}.{name}"
    transform = getattr(A, str(name), None)
    if not (inspect.isclass(transform) and issubclass(transform, A.BasicTransform | COMPOSITIONS)):
        raise InputError(f"{where}: albumentations {A.__version__} has no such transform")
    known = inspect.signature(transform).parameters
    if unknown := [key for key in arguments if key not in known]:
        raise InputError(f"{where} has no argument {unknown[0]}; it has {', '.join(known)}")
    if issubclass(transform, COMPOSITIONS):
        entries = arguments.get("transforms")
        if not (isinstance(entries, list) and entries):
            raise InputError(f"{where}.transforms is {entries}; it must be a list of transforms")
        inner = [_build(entry, f"{where}.transforms.{index}") for index, entry in enumerate(entries)]
        arguments = {**arguments, "transforms": inner}
    else:
        arguments = _for_label_maps(transform, arguments, known=known, where=where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ADVICE)
            built = transform(**arguments)
            A.to_dict(built)  # fails for functions and images, which recipe.json cannot hold
    except (ValueError, TypeError, UserWarning, NotImplementedError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines() if "visit http" not in line)
        raise InputError(f"{where}: {reason}") from None
    if isinstance(built, A.BasicTransform):
        _check_makes_samples(built, where)
    return built


def _for_label_maps(
    transform: type[A.BasicTransform], arguments: dict[str, Any], *, known: Mapping[str, inspect.Parameter], where: str
) -> dict[str, Any]:
    """The arguments, with those for label maps set. Raises InputError if they would mix or invent labels.

    Label maps are resized by INTER_NEAREST_EXACT. OpenCV's INTER_NEAREST ignores that a pixel's centre is half a pixel
    from its corner, which would shift label maps by up to half a pixel. Transforms that do not offer the exact one
    warp images, for which INTER_NEAREST is exact.
    """
    if arguments.get("mask_interpolation", cv2.INTER_NEAREST) not in (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT):
        raise InputError(f"{where}.mask_interpolation: label maps are resized by nearest neighbour only")
    if arguments.get("area_for_downscale") == "image_mask":
        raise InputError(f"{where}.area_for_downscale: label maps are resized by nearest neighbour only")
    for name in ("fill_mask", "mask_drop_value"):
        if arguments.get(name) not in (None, IGNORE_INDEX):
            raise InputError(f"{where}.{name} is {arguments[name]}; it must be {IGNORE_INDEX} or left out")
    chosen = {}
    if "fill_mask" in known and known["fill_mask"].default is not None:
        chosen["fill_mask"] = IGNORE_INDEX
    if "mask_interpolation" in known:
        offered = get_args(transform.InitSchema.model_fields["mask_interpolation"].annotation)
        if cv2.INTER_NEAREST_EXACT in offered:
            chosen["mask_interpolation"] = cv2.INTER_NEAREST_EXACT
    return {**arguments, **chosen}


def _check_makes_samples(transform: A.BasicTransform, where: str) -> None:
    """Raise InputError unless the transform makes an image and a label map from an image and a label map alone."""
    if needed := [name for name in transform.targets_as_params if name not in ("image", "mask")]:
        raise InputError(f"{where} needs {', '.join(needed)}, which a sample does not have")
    if "image" not in transform.available_keys:
        raise InputError(f"{where}: it does not transform images")
    transform.set_random_seed(0)
    try:
        sample = transform(force_apply=True, image=TRIAL_IMAGE, mask=TRIAL_LABEL_MAP)
    except KeyError as error:
        raise InputError(f"{where} needs {error.args[0]}, which a sample does not have") from None
    except Exception:  # the trial image may be too small for it, the dataset's images large enough
        return
    image, labels = sample["image"], np.unique(sample["mask"])
    if image.dtype != np.uint8 or image.shape[2:] != (3,):
        raise InputError(f"{where}: it makes {image.dtype} images of shape {image.shape}; samples must stay uint8 RGB")
    if new := set(labels.tolist()) - {int(TRIAL_LABEL_MAP[0, 0]), IGNORE_INDEX}:
        raise InputError(f"{where}: it makes pixels of label {new.pop()} where an image has none")
