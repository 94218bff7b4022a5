"""README's first picture: which image and models it shows, and that pages of this version and in git can be read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.errors import InputError
from segbench.report.pages.glance import PageImages, chosen_entries, write_glance
from segbench.report.pages.overview import DatasetReport
from segbench.report.pages.page import page_html
from tests.parameters import PROJECT
from tests.report.sample_pages import MODELS, a_page, an_entry, some_classes

MOST_BYTES = 300_000


def a_report(*models: str) -> DatasetReport:
    """The models are better the earlier they come."""
    entries = tuple(
        an_entry(model, crf=False, place=place, num_classes=2, is_external=False)
        for place, model in enumerate(models, 1)
    )
    return DatasetReport("streets", "", 3, (), entries, {}, {}, {})


def test_three_models_from_coarse_to_fine_and_the_best_of_the_others() -> None:
    report = a_report("unet", "pspnet", "deeplab_v1", "fcn_8s", "fcn_32s")
    assert [entry.model for entry in chosen_entries(report)] == ["fcn_32s", "fcn_8s", "unet", "pspnet"]


@pytest.mark.parametrize(
    ("models", "told"),
    [(("unet", "fcn_8s", "pspnet"), "has no fcn_32s"), (("unet", "fcn_8s", "fcn_32s"), "has no a model beside")],
)
def test_a_benchmark_without_them_is_refused(models: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        chosen_entries(a_report(*models))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> PageImages:
    """Of a page that this version writes, with a name that HTML escapes."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    models = (*MODELS[:3], "less & more")
    path.write_text(
        page_html(a_page(models=models, classes=some_classes(4), num_images=4, height_px=24, width_px=32)),
        encoding="utf-8",
    )
    return PageImages.read(path)


def test_a_page_of_this_version_is_read(page: PageImages) -> None:
    assert page.entries[:2] == ("deeplab_v3_plus + CRF", "deeplab_v3_plus") and page.entries[-1] == "less & more"
    classes = some_classes(4)
    assert page.colors == dict(zip(classes.names, map(tuple, classes.colors), strict=True))
    shown = page.middle()
    assert shown.name == page.pictures[1]["name"], "of four, the second"
    assert shown.photo.size == (32, 24) and len(shown.scores) == len(page.entries)
    found = {color for place in range(len(page.entries) + 1) for color in colors_of(shown.label_map(place))}
    assert found <= {*page.colors.values(), (0, 0, 0)}, "lossless"
    truth = np.asarray(shown.label_map(0))
    assert (truth[:2, :3] == 0).all(), "what has no class in the truth is black"
    shares = [np.mean((np.asarray(shown.label_map(place)) == truth).all(axis=2)) for place in (1, len(page.entries))]
    assert shares[0] > shares[1], "sample pages have the best entry first"


def colors_of(picture: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.asarray(picture).reshape(-1, 3).tolist()}


def test_a_page_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>")
    with pytest.raises(InputError, match=r"index.html: has no test images; run dvc repro again"):
        PageImages.read(tmp_path / "index.html")


def test_the_picture_of_camvid_is_small_and_as_wide_as_a_page_on_dense_screens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reports/camvid"
    folder.mkdir(parents=True)
    for name in ("index.html", "benchmark.md", "benchmark.csv", "differences.csv"):
        (folder / name).write_bytes((PROJECT / "reports/camvid" / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    shown, _, caption = write_glance(Path("reports/camvid"))
    assert shown.endswith("fcn_32s, fcn_8s, unet and deeplab_v3_plus](reports/camvid/glance.png)")
    assert "of the 8 test images that" in caption
    with Image.open(folder / "glance.png") as picture:
        assert picture.width == 1660
    assert (folder / "glance.png").stat().st_size < MOST_BYTES
