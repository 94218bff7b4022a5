"""The test protocol: scaled images in, probabilities and classes at the images' own size out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.datasets.prepared import Prepared, Row
from segbench.images import scale_image
from segbench.labels import Classes
from segbench.params.datasets import Views
from segbench.prediction.predictor import Predictor
from tests.parameters import PARAMETERS


class Coarse(nn.Module):
    """Logits of three classes at half of the input's size, and dropout that only training has."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 2, stride=2, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H / 2, W / 2)"""
        return self.dropout(self.logits(images))

    def logits(self, images: Tensor) -> Tensor:
        """The same without dropout."""
        return 20 * self.convolution(images - 0.5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_logits_are_enlarged_bilinearly_before_softmax_and_argmax(scale: float) -> None:
    torch.manual_seed(0)
    model = Coarse()
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    predictor = Predictor(model, scale=scale)
    pixels = torch.from_numpy(np.array(scale_image(image, scale=scale))).permute(2, 0, 1)[None] / 255
    assert pixels.shape[2:] == (24 * scale, 40 * scale)
    with torch.inference_mode():
        coarse = model.logits(pixels.to(predictor.device)).cpu()
        logits = F.interpolate(coarse, size=(24, 40), mode="bilinear", align_corners=False)[0]
    probabilities, label_map = predictor.probabilities(image), predictor.label_map(image)
    np.testing.assert_allclose(probabilities, logits.softmax(dim=0), atol=1e-5)
    assert probabilities.dtype == np.float32 and label_map.dtype == np.uint8
    np.testing.assert_array_equal(label_map, logits.argmax(dim=0))
    assert len(np.unique(label_map)) > 1


IMAGE = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)


def coarse() -> Coarse:
    torch.manual_seed(0)
    return Coarse()


def with_images_of(*sizes: tuple[int, int]) -> Prepared:
    """A dataset with images of these heights and widths, none of which can be read."""
    rows = tuple(Row("test", str(number), "", "", *size, (), 0, "", "", 0) for number, size in enumerate(sizes))
    return Prepared(Path("nowhere"), Classes.of([("a", (0, 0, 0)), ("b", (9, 9, 9))]), "", rows)


class Mirrored(nn.Module):
    """Logits of three classes that depend on what lies to the left of a pixel."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H, W)"""
        return 5 * (images - images.roll(3, dims=-1))


@pytest.mark.parametrize("tile_px", [None, 64])
def test_one_view_of_the_image_as_it_is_changes_nothing(tile_px: int | None) -> None:
    plain = Predictor(Mirrored(), scale=0.9, tile_px=tile_px)
    same = Predictor(Mirrored(), scale=0.9, tile_px=tile_px, flip=False, scales=[1.0])
    np.testing.assert_array_equal(same.probabilities(IMAGE), plain.probabilities(IMAGE))
    np.testing.assert_array_equal(same.label_map(IMAGE), plain.label_map(IMAGE))


@pytest.mark.parametrize("scales", [[1.0], [0.75, 1.0, 1.25]])
@pytest.mark.parametrize("tile_px", [None, 64])
def test_a_mirrored_image_has_the_mirrored_label_map_if_both_are_seen(scales: list[float], tile_px: int | None) -> None:
    image = np.concatenate([IMAGE, IMAGE[::-1]], axis=1)[:, :128]
    once, both = (Predictor(Mirrored(), scale=1.0, tile_px=tile_px, flip=flip, scales=scales) for flip in (False, True))
    mirrored = image[:, ::-1]
    assert (once.label_map(mirrored) != once.label_map(image)[:, ::-1]).mean() > 0.1
    agreement = (both.label_map(mirrored) == both.label_map(image)[:, ::-1]).mean()
    assert agreement == 1 if scales == [1.0] else agreement > 0.99  # resizing rounds to grey levels
    if scales == [1.0]:
        np.testing.assert_array_equal(both.probabilities(mirrored), both.probabilities(image)[..., ::-1])


@pytest.mark.parametrize("tile_px", [None, 64])
def test_probabilities_are_the_mean_over_the_views(tile_px: int | None) -> None:
    views = [Predictor(Mirrored(), scale=scale, tile_px=tile_px) for scale in (0.6, 0.8, 1.0)]
    seen = [view.probabilities(IMAGE) for view in views]
    seen += [view.probabilities(IMAGE[:, ::-1])[..., ::-1] for view in views]
    both = Predictor(Mirrored(), scale=0.8, tile_px=tile_px, flip=True, scales=[0.75, 1.0, 1.25])
    np.testing.assert_allclose(both.probabilities(IMAGE), np.mean(seen, axis=0), atol=0.02)  # resizing rounds
    np.testing.assert_array_equal(both.label_map(IMAGE), both.probabilities(IMAGE).argmax(axis=0))
    assert (both.label_map(IMAGE) != views[1].label_map(IMAGE)).mean() > 0.01


def test_a_predictor_sees_images_as_the_parameters_say() -> None:
    seen = PARAMETERS.dataset("camvid").input.model_copy(
        update={"tile_px": 96, "test_time": Views(flip=True, scales=[1.0, 2.0])}
    )
    predictor = Predictor.seeing(coarse(), seen, with_images_of((720, 960)))
    assert (predictor.scale, predictor.tile_px) == (0.5, 96)
    assert predictor.views == [(1.0, False), (1.0, True), (2.0, False), (2.0, True)]
    (view,) = Predictor.seeing(coarse(), PARAMETERS.dataset("camvid").input, with_images_of((720, 960))).views
    assert view == (1.0, False)


@pytest.mark.parametrize(
    ("largest", "scale", "views", "tile_px"),
    [
        ((2000, 2000), 1.0, [1.0], None),
        ((2000, 2001), 1.0, [1.0], 768),
        ((4000, 6000), 0.4, [1.0], None),
        ((4000, 6000), 0.4, [0.5, 1.5], 768),
    ],
)
def test_large_images_are_seen_by_tiles_where_no_side_is_given(
    largest: tuple[int, int], scale: float, views: list[float], tile_px: int | None
) -> None:
    seen = PARAMETERS.dataset("camvid").input.model_copy(
        update={"scale": scale, "test_time": Views(flip=False, scales=views)}
    )
    data = with_images_of((100, 100), largest)
    assert Predictor.seeing(coarse(), seen, data).tile_px == tile_px
    given = seen.model_copy(update={"tile_px": 256})
    assert Predictor.seeing(coarse(), given, data).tile_px == 256


def test_a_tile_that_is_larger_than_the_image_sees_it_as_a_whole() -> None:
    whole, tile = (Predictor(Mirrored(), scale=1.0, tile_px=tile_px) for tile_px in (None, 100_000))
    np.testing.assert_allclose(tile.probabilities(IMAGE), whole.probabilities(IMAGE), atol=1e-5)
