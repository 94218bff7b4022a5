"""Scores are made without the test images that params.yaml names, and a name that does not exist is told."""

import pytest

from segbench.datasets import scenes
from segbench.datasets.left_out import check_left_out, open_scored
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError

IMAGES = {"train/a", "val/a", "test/a", "test/b"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    drawn = scenes.open_source(seed=0, width_px=32, height_px=32, num_train=2, num_val=1, num_test=3)
    return prepare(drawn, tmp_path_factory.mktemp("data") / "prepared")


def test_what_is_left_out_is_a_test_image_alone(data: Prepared) -> None:
    first, second, third = (row.name for row in data.split("test"))
    scored = open_scored(data.root, [f"test/{second}"], dataset="scenes")
    assert [row.name for row in scored.split("test")] == [first, third]
    assert (scored.split("train"), scored.split("val")) == (data.split("train"), data.split("val"))
    assert (scored.fingerprint, scored.root, scored.classes) == (data.fingerprint, data.root, data.classes)
    assert open_scored(data.root, [], dataset="scenes") == data


def test_names_that_do_not_exist_are_told_one_per_line(data: Prepared) -> None:
    told = "it must be an image of the test split, named as in the audit: test/NAME"
    expected = "\n".join(f"params.yaml: datasets.mine.leave_out names {name}; {told}" for name in ("test/c", "test/d"))
    with pytest.raises(InputError) as error:
        check_left_out(["test/c", "test/a", "test/d"], IMAGES, dataset="mine")
    assert str(error.value) == expected
    with pytest.raises(InputError, match="names test/none; it must be"):
        open_scored(data.root, ["test/none"], dataset="mine")


def test_one_image_must_be_left() -> None:
    check_left_out(["test/b"], IMAGES, dataset="mine")
    with pytest.raises(InputError, match="leave_out names all test images; at least one must be left"):
        check_left_out(["test/b", "test/a"], IMAGES, dataset="mine")
