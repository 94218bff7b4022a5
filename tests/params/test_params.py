"""Every mistake in params.yaml gets one line that says where, what, and what would be right."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from segbench import params
from segbench.errors import InputError
from segbench.params.fields import Section
from segbench.params.models import OF_TRAINING, ModelSection
from tests.parameters import PARAMS_FILE, PROJECT

MODELS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(PARAMS_FILE.read_text())["models"][name]
    for name in ("fcn_8s", "unet", "pspnet", "sliding_window")
}
VARIANTS: dict[str, dict[str, Any]] = {
    "fcn_8s_bilinear": {"of": "fcn_8s", "upsampling": "bilinear"},
    "unet_no_skips": {"of": "unet", "skips": False},
}
FOLDER = {
    "kind": "folder", "root": "mine", "bits": 8, "groups": None, "image_names": "{name}", "mask_names": "{name}",
    "mask_tolerance": 0, "masks_drawn_on": None, "split": {"by": "folders"},
}  # fmt: skip
REMOVED = object()


def write_params(folder: Path, changes: dict[str, Any]) -> Path:
    """A file like the committed one, with two models, and with changes by dotted place."""
    tree = yaml.safe_load(PARAMS_FILE.read_text())
    tree["models"] = {name: dict(model) for name, model in MODELS.items()}
    tree["variants"] = {name: dict(variant) for name, variant in VARIANTS.items()}
    tree["benchmark"] = {"datasets": ["scenes"], "models": ["unet"], "variants": []}
    for place, value in changes.items():
        *parents, key = place.split(".")
        section = tree
        for parent in parents:
            section = section[parent]
        if value is REMOVED:
            del section[key]
        else:
            section[key] = value
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def test_the_committed_params_are_valid() -> None:
    loaded = params.load(PARAMS_FILE)
    assert loaded.benchmark.models
    assert loaded.dataset("scenes").input.crop_px == [96, 128]
    assert isinstance(loaded.dataset("camvid").source, params.CamvidSource)
    assert isinstance(loaded.model("unet"), params.UNetModel)


@pytest.mark.parametrize("tile_px", [None, 64, 512])
def test_test_images_are_seen_by_tiles_and_as_several_views_if_asked(tmp_path: Path, tile_px: int | None) -> None:
    seen = params.load(write_params(tmp_path, {"datasets.scenes.input.tile_px": tile_px})).dataset("scenes").input
    assert seen.tile_px == tile_px and not seen.test_time.are_several
    for views in ({"flip": True, "scales": [1.0]}, {"flip": False, "scales": [0.5]}, {"flip": False, "scales": [1, 2]}):
        path = write_params(tmp_path, {"datasets.scenes.input.test_time": views})
        assert params.load(path).dataset("scenes").input.test_time.are_several


def test_a_batch_of_one_is_for_models_without_pooled_batch_norm(tmp_path: Path) -> None:
    assert params.load(write_params(tmp_path, {"train.batch_size": 1})).train.batch_size == 1
    both = {"train.batch_size": 1, "benchmark.models": ["unet", "pspnet"]}
    with pytest.raises(
        InputError, match=r"batch_size is 1 for models\.pspnet on datasets\.scenes; it must be at least 2"
    ):
        params.load(write_params(tmp_path, both))


def test_a_variant_is_its_model_with_the_changed_values(tmp_path: Path) -> None:
    own = {"models.unet.train": {"lr": 0.5}, "models.unet.train_on": {"camvid": {"seeds": [0, 1]}}}
    loaded = params.load(write_params(tmp_path, own))
    model, variant = loaded.model("unet"), loaded.model("unet_no_skips")
    assert isinstance(variant, params.UNetModel) and not variant.skips
    assert variant == model.model_copy(update={"skips": False})
    for dataset in ("scenes", "camvid"):
        assert loaded.train_for(dataset, "unet_no_skips") == loaded.train_for(dataset, "unet")
        assert loaded.deviations(dataset, "unet_no_skips") == loaded.deviations(dataset, "unet")


def test_no_two_entries_share_a_mapping() -> None:
    """DVC would edit both: `dvc exp run -S` changes one entry, then sets the shared mapping back for the other."""
    seen: dict[int, str] = {}

    def visit(tree: Any, place: str) -> None:
        if isinstance(tree, dict):
            assert id(tree) not in seen, f"{place} is an alias of {seen[id(tree)]}"
            seen[id(tree)] = place
            for key, value in tree.items():
                visit(value, f"{place}.{key}")

    tree = yaml.safe_load(PARAMS_FILE.read_text())
    visit(tree, "params.yaml")


def test_the_examples_in_the_projects_file_are_those_that_are_tested() -> None:
    tested = PARAMS_FILE.read_text()
    example = tested[tested.index("  # mine:") : tested.index("\n\n# Shared by all networks")]
    project = (PROJECT / "params.yaml").read_text()
    if "  # mine:" not in project:
        pytest.skip("the example is in use")
    assert example in project


def test_the_commented_examples_are_valid(tmp_path: Path) -> None:
    text = PARAMS_FILE.read_text()
    lines = re.findall(r"^  # (mine:|  .*)$", text, re.MULTILINE)
    mine = yaml.safe_load("\n".join(lines))["mine"]
    sources = [mine["source"], *map(yaml.safe_load, re.findall(r"{kind: [^}]*}", text))]
    for source in sources:
        params.load(write_params(tmp_path, {"datasets.mine": {**mine, "source": source}}))
    kinds = {field.model_fields["kind"].annotation for field in get_args(params.AnySource)}
    assert {source["kind"] for source in sources} | {"scenes", "camvid"} == {get_args(kind)[0] for kind in kinds}


MISTAKES: list[tuple[str, Any, list[str]]] = [
    # unknown and missing keys
    ("tarin", {}, ["the top level has no parameter tarin; it has benchmark, datasets"]),
    ("train.learning_rate", 0.1, ["train has no parameter learning_rate; it has epochs, seeds"]),
    ("models.unet.stride", 8, ["models.unet has no parameter stride; it has", "decoder_channels"]),
    ("models.unet.train", {"learning_rate": 0.1}, ["models.unet.train has no parameter learning_rate; it has epochs"]),
    ("datasets.scenes.source.root", "data", ["datasets.scenes.source has no parameter root; it has kind, seed"]),
    ("train", REMOVED, ["train is missing"]),
    ("train.lr", REMOVED, ["train.lr is missing"]),
    ("train.search.candidates", [{"lr": 0.1}, {"lr": -1}], ["train.search.candidates.1.lr is -1; it must be greater"]),
    ("train.search.candidates", [{"epochs": 3}], ["train.search.candidates.0 has epochs, which is the same for all"]),
    ("train.search.candidates", [{"rate": 3}], ["train.search.candidates.0 has no parameter rate; it has epochs"]),
    ("models.fcn_8s.stride", REMOVED, ["models.fcn_8s.stride is missing"]),
    ("datasets.scenes.source.seed", REMOVED, ["datasets.scenes.source.seed is missing"]),
    # models
    ("models.unet.decoder_channels", [64, 32], ["models.unet: decoder_channels has 2 entries; it must have 5"]),
    ("models.unet.backbone", {"name": "contracting_path", "weights": "none"}, ["has 5 entries; it must have 4"]),
    ("models.unet.backbone", {"name": "contracting_path", "weights": "hub"}, ["weights is hub; it must be none"]),
    ("models.unet.backbone", {"name": "resnet18", "weights": "bundled"}, ["only tf_efficientnet_lite0 has bundled"]),
    ("backbone.name", "contracting_path", ["backbone", "contracting_path"]),
    ("models.fcn_8s.fc6_kernel_px", 4, ["models.fcn_8s.fc6_kernel_px is 4; it must be an odd number"]),
    ("models.pspnet.output_stride", 12, ["models.pspnet.output_stride is 12; it must be 8, 16 or 32"]),
    ("models.pspnet.bins", [0], ["models.pspnet.bins.0 is 0; it must be greater than or equal to 1"]),
    ("models.unet.skips", REMOVED, ["models.unet.skips is missing"]),
    ("models.sliding_window.patch_px", 30, ["models.sliding_window.patch_px is 30; it must be a multiple of 4"]),
    # which architecture, which source
    ("models.unet.architecture", "vnet", ["models.unet.architecture is vnet; it must be one of", "'fcn', 'unet'"]),
    ("models.unet.architecture", REMOVED, ["models.unet.architecture is missing"]),
    ("datasets.scenes.source.kind", "city", ["datasets.scenes.source.kind is city; it must be one of 'scenes', 'ca"]),
    ("datasets.scenes.source.kind", REMOVED, ["datasets.scenes.source.kind is missing"]),
    # impossible values
    ("train.lr", -1, ["train.lr is -1; it must be greater than 0"]),
    ("train.lr", 0, ["train.lr is 0; it must be greater than 0"]),
    ("train.lr", float("nan"), ["train.lr is", "nan; it must be"]),
    ("train.lr", "fast", ["train.lr is", "fast", "it must be a valid number"]),
    ("train.batch_size", 1.5, ["train.batch_size is 1.5; it must be a valid integer"]),
    ("train.momentum", 1, ["train.momentum is 1; it must be less than 1"]),
    ("train.optimizer", "adam", ["train.optimizer is", "adam", "it must be 'adamw' or 'sgd'"]),
    ("train.loss", {}, ["train.loss is {}; it must be a dictionary of at least 1 item"]),
    ("train.loss", "dice", ["train.loss is", "dice", "it must be a valid dictionary"]),
    ("train.loss", {"hinge": 1}, ["train.loss.hinge is hinge; it must be 'cross_entropy', 'dice' or 'focal'"]),
    ("train.loss", {"dice": 0}, ["train.loss.dice is 0; it must be greater than 0"]),
    ("models.unet.train", {"loss": {"dice": "x"}}, ["models.unet.train.loss.dice is", "it must be a valid number"]),
    ("train.rare_class_sampling", 1.5, ["train.rare_class_sampling is 1.5; it must be less than or equal to 1"]),
    ("train.rare_class_sampling", True, ["train.rare_class_sampling is", "it must be a"]),
    ("train.devices", 0, ["train.devices is 0; it must be"]),
    ("models.fcn_8s.stride", 12, ["models.fcn_8s.stride is 12; it must be 8, 16 or 32"]),
    (
        "models.unet.decoder_channels",
        [16, 0],
        ["models.unet.decoder_channels.1 is 0; it must be greater than or equal"],
    ),
    ("models.unet.train", {"lr": -1}, ["models.unet.train.lr is -1; it must be greater than 0"]),
    ("datasets.scenes.train", {"lr": -1}, ["datasets.scenes.train.lr is -1; it must be greater than 0"]),
    ("datasets.scenes.train", {"rate": 1}, ["datasets.scenes.train has no parameter rate; it has epochs, seeds"]),
    ("datasets.scenes.copies", -1, ["datasets.scenes.copies is -1; it must be greater than or equal to 0"]),
    ("datasets.scenes.input.scale", 0, ["datasets.scenes.input.scale is 0; it must be greater than or equal to 0.05"]),
    ("datasets.scenes.input.crop_px", [96], ["datasets.scenes.input.crop_px is [96]; it must be"]),
    ("datasets.scenes.input.crop_px", [96, 128, 3], ["datasets.scenes.input.crop_px is [96, 128, 3]; it must be"]),
    (
        "datasets.scenes.input.tile_px",
        100,
        ["datasets.scenes.input.tile_px is 100; it must be a multiple of 32, or null"],
    ),
    (
        "datasets.scenes.input.tile_px",
        32,
        ["datasets.scenes.input.tile_px is 32; it must be greater than or equal to 64"],
    ),
    ("datasets.scenes.input.tile_px", "all", ["datasets.scenes.input.tile_px is all; it must be a valid integer"]),
    ("datasets.scenes.input.tile_px", True, ["datasets.scenes.input.tile_px is True; it must be a valid integer"]),
    ("datasets.scenes.input.tile_px", REMOVED, ["datasets.scenes.input.tile_px is missing"]),
    ("datasets.scenes.input.test_time", REMOVED, ["datasets.scenes.input.test_time is missing"]),
    (
        "datasets.scenes.input.test_time.scales",
        [],
        ["datasets.scenes.input.test_time.scales is []; it must be a list of at least 1 item"],
    ),
    (
        "datasets.scenes.input.test_time.scales",
        [1.0, 1.0],
        ["datasets.scenes.input.test_time.scales is [1.0, 1.0]; it must be a list in which each stands once"],
    ),
    (
        "datasets.scenes.input.test_time.scales",
        [1.0, 0],
        ["datasets.scenes.input.test_time.scales.1 is 0; it must be greater than or equal to 0.25"],
    ),
    (
        "datasets.scenes.input.test_time.flip",
        "sideways",
        ["datasets.scenes.input.test_time.flip is sideways; it must be a valid boolean"],
    ),
    ("datasets.camvid.source.root", 3, ["datasets.camvid.source.root is 3; it must be a"]),
    (
        "datasets.camvid.source.split",
        "random",
        ["datasets.camvid.source.split is random; it must be 'published' or 'disjoint'"],
    ),
    ("datasets.camvid.source", {**FOLDER, "bits": 7}, ["source.bits is 7; it must be greater than or equal to 8"]),
    (
        "datasets.camvid.source",
        {**FOLDER, "mask_names": "_mask"},
        ["source.mask_names is _mask; it must be a text with {name} in it once, and without a slash"],
    ),
    (
        "datasets.camvid.source",
        {**FOLDER, "image_names": "rgb/{name}"},
        ["source.image_names is rgb/{name}; it must be a text with {name} in it once, and without a slash"],
    ),
    ("datasets.camvid.source", {**FOLDER, "mask_tolerance": -1}, ["source.mask_tolerance is -1; it must be greater"]),
    ("datasets.camvid.source", {**FOLDER, "masks_drawn_on": "raw"}, ["masks_drawn_on is raw; it must be", "'stored'"]),
    (
        "datasets.camvid.source",
        {**FOLDER, "split": {"by": "luck"}},
        ["datasets.camvid.source.split.by is luck; it must be one of 'folders', 'lists', 'ratio'"],
    ),
    (
        "datasets.camvid.source",
        {**FOLDER, "split": {"by": "ratio", "val": 0.5, "test": 0.5, "seed": 0}},
        ["val and test are 0.5 and 0.5; their sum must be less than 1"],
    ),
    (
        "datasets.camvid.source",
        {**FOLDER, "split": {"by": "ratio", "val": 0, "test": 0.5, "seed": 0}},
        ["datasets.camvid.source.split.val is 0; it must be greater than 0"],
    ),
    ("crf.steps", [], ["crf.steps is []; it must be a list of at least 1 item"]),
    ("crf.steps", 5, ["crf.steps is 5; it must be a", "list"]),
    ("crf.steps", [5, 2], ["crf.steps is [5, 2]; it must be in ascending order"]),
    ("crf.smoothness_weight", [2, 2], ["crf.smoothness_weight is [2, 2]; it must be in ascending order"]),
    ("crf.appearance_weight", [-4, 2], ["crf.appearance_weight.0 is -4; it must be greater than 0"]),
    ("crf.appearance_sigma_xy", [0.2, 0.1], ["crf.appearance_sigma_xy is [0.2, 0.1]; it must be in ascending order"]),
    ("crf.appearance_sigma_rgb", [2], ["crf.appearance_sigma_rgb is [2]; it must be a list of at least 2 items"]),
    (
        "augment.transforms",
        [{"Blur": {}}, {"Morphological": {}}],
        ["augment.transforms", "Morphological cannot be used: it moves"],
    ),
    ("augment.transforms", [{"Blur": {}, "Rotate": {}}], ["augment.transforms.0 is", "it must be a", "1 item"]),
    ("compare.figure_images", 13, ["compare.figure_images is 13; it must be less than or equal to 12"]),
    ("train.seeds", [], ["train.seeds is []; it must be a list of at least 1 item"]),
    ("train.seeds", [0, 0], ["train.seeds is [0, 0]; it must be a list in which each stands once"]),
    ("models.unet.train", {"seeds": [-1]}, ["models.unet.train.seeds.0 is -1; it must be greater than or equal to 0"]),
    ("evaluate.trimap_widths_px", [2, 1], ["evaluate.trimap_widths_px is [2, 1]; it must be in ascending order"]),
    (
        "datasets.scenes.predictions",
        {"them": "no/such"},
        ["scenes.predictions.them is no/such; it must be an existing"],
    ),
    (
        "datasets.scenes.leave_out",
        ["test/a", "train/b"],
        ["datasets.scenes.leave_out.1 is train/b; it must be test/name: only test images can be left out"],
    ),
    ("datasets.scenes.leave_out", ["test/"], ["datasets.scenes.leave_out.0 is test/; it must be test/name"]),
    ("datasets.scenes.leave_out", ["test/a", "test/a"], ["datasets.scenes.leave_out is ['test/a', 'test/a']; it must"]),
    ("datasets.scenes.predictions", {"unet": "tests"}, ["datasets.scenes.predictions.unet has a model's name; choose"]),
    # yes or no where a number belongs
    ("train.batch_size", True, ["train.batch_size is", "it must be a"]),
    ("train.lr", True, ["train.lr is", "it must be a"]),
    ("train.weight_decay", False, ["train.weight_decay is", "it must be a"]),
    ("datasets.scenes.input.scale", True, ["datasets.scenes.input.scale is", "it must be a"]),
    ("compare.figure_images", True, ["compare.figure_images is", "it must be a"]),
    # values that do not go together
    ("benchmark.models", ["unet", "vnet"], ["benchmark.models names vnet; it must be one of fcn_8s, unet"]),
    ("benchmark.models", ["unet", "unet"], ["benchmark.models names unet twice"]),
    ("benchmark.datasets", ["voc"], ["benchmark.datasets names voc; it must be one of scenes, camvid"]),
    (
        "datasets.scenes.input.crop_px",
        [96, 144],
        ["datasets.scenes: input.crop_px is [96, 144]; it must be at most [96, 128], the scaled image"],
    ),
    (
        "datasets.scenes.input.scale",
        0.5,
        ["datasets.scenes: input.crop_px is [96, 128]; it must be at most [48, 64], the scaled image"],
    ),
    (
        "backbone.weights",
        "no/such.pt",
        ["backbone: weights is no/such.pt; it must be bundled, none, hub or an existing"],
    ),
    (
        "backbone.name",
        "resnet50",
        ["weights is bundled, but only tf_efficientnet_lite0", "not resnet50; it must be none"],
    ),
    (
        "datasets.scenes.input.scale",
        float("nan"),
        ["datasets.scenes.input.scale is nan; it must be a fin"],
    ),
    ("train.rare_class_sampling", float("nan"), ["train.rare_class_sampling is nan; it must be a finite"]),
    (
        "augment.transforms",
        [{"Blur": {"p": float("nan")}}],
        ["augment.transforms.0.Blur.p is nan; it must be a finite"],
    ),
    ("models.unet.train", {"lr": float("inf")}, ["models.unet.train.lr is inf; it must be a finite"]),
    # variants
    ("variants", REMOVED, ["variants is missing"]),
    ("variants.unet_no_skips", "unet", ["variants.unet_no_skips is unet; it must be a model's name under of, and"]),
    ("variants.unet_no_skips.of", REMOVED, ["variants.unet_no_skips.of is missing"]),
    ("variants.unet_no_skips.of", "vnet", ["variants.unet_no_skips.of is vnet; it must be one of fcn_8s, unet"]),
    ("variants.unet_no_skips.of", ["unet"], ["variants.unet_no_skips.of is ['unet']; it must be one of fcn_8s"]),
    ("variants.unet_no_skips.skips", "no way", ["variants.unet_no_skips.skips is no way; it must be a valid boolean"]),
    ("variants.unet_no_skips.skips", True, ["variants.unet_no_skips: skips is as in unet; name only values that"]),
    ("variants.unet_no_skips.skips", REMOVED, ["variants.unet_no_skips: nothing is changed; name only values that"]),
    ("variants.unet_no_skips.skip", False, ["variants.unet_no_skips has no parameter skip; it has", "skips"]),
    ("variants.unet_no_skips.decoder_channels", [8], ["variants.unet_no_skips: decoder_channels has 1 entries; it"]),
    ("variants.unet_no_skips.train", {"lr": 1}, ["variants.unet_no_skips changes train; a variant is trained as unet"]),
    ("variants.pspnet", {"of": "unet", "skips": False}, ["variants.pspnet has a model's name; choose another"]),
    ("variants.U", {"of": "unet", "skips": False}, ["variants.U: the name U must have only a-z, 0-9 and _"]),
    ("benchmark.variants", REMOVED, ["benchmark.variants is missing"]),
    ("benchmark.variants", ["unet"], ["benchmark.variants names unet; it must be one of fcn_8s_bilinear, unet_no"]),
    ("benchmark.variants", 2 * ["unet_no_skips"], ["benchmark.variants names unet_no_skips twice"]),
    ("benchmark.variants", ["fcn_8s_bilinear"], ["a variant of fcn_8s; benchmark.models must name fcn_8s"]),
    ("datasets.scenes.predictions", {"unet_no_skips": "tests"}, ["predictions.unet_no_skips has a model's name"]),
    # names of entries become names of folders
    ("models.UNet", MODELS["unet"], ["models.UNet: the name UNet must have only a-z, 0-9 and _"]),
]


@pytest.mark.parametrize(
    ("place", "value", "fragments"),
    MISTAKES,
    ids=[f"{place}={'removed' if value is REMOVED else value}" for place, value, _ in MISTAKES],
)
def test_a_mistake_is_one_line_with_place_value_and_remedy(
    tmp_path: Path, place: str, value: Any, fragments: list[str]
) -> None:
    path = write_params(tmp_path, {place: value})
    with pytest.raises(InputError) as caught:
        params.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_every_mistake_gets_its_line(tmp_path: Path) -> None:
    path = write_params(tmp_path, {"train.lr": -1, "crf.steps": [], "models.fcn_8s.stride": 12})
    with pytest.raises(InputError) as caught:
        params.load(path)
    starts = [line.split(" is ")[0] for line in str(caught.value).splitlines()]
    assert starts == [f"{path}: {place}" for place in ("models.fcn_8s.stride", "train.lr", "crf.steps")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file; run from the project's root"),
        (b"train: [1", "not valid YAML"),
        (b"train: \xff", "not valid YAML"),
        (b"", "it must hold sections such as train: and models:"),
        (b"- train", "it must hold sections such as train: and models:"),
    ],
)
def test_a_file_that_is_no_params_file_is_named_in_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        params.load(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_weights_file_that_exists_is_accepted_for_any_backbone(tmp_path: Path) -> None:
    weights = tmp_path / "resnet50.pt"
    weights.touch()
    loaded = params.load(write_params(tmp_path, {"backbone": {"name": "resnet50", "weights": str(weights)}}))
    assert loaded.backbone.weights == str(weights)


def test_a_datasets_then_a_models_values_replace_the_shared_schedules(tmp_path: Path) -> None:
    own = {"datasets.scenes.train": {"epochs": 3}, "models.unet.train": {"lr": 0.5, "gradient_clip_norm": None}}
    loaded = params.load(write_params(tmp_path, own))
    shared, deviating = loaded.train_for("scenes", "fcn_8s"), loaded.train_for("scenes", "unet")
    assert shared == loaded.train.model_copy(update={"epochs": 3})
    assert (deviating.lr, deviating.gradient_clip_norm) == (0.5, None)
    assert deviating.model_copy(update={"lr": shared.lr, "gradient_clip_norm": shared.gradient_clip_norm}) == shared


def test_a_models_values_may_hold_on_one_dataset_alone(tmp_path: Path) -> None:
    own = {"models.unet.train": {"lr": 0.5}, "models.unet.train_on": {"camvid": {"seeds": [0, 1], "lr": 0.25}}}
    loaded = params.load(write_params(tmp_path, own))
    for dataset, expected in (("scenes", {"lr": 0.5}), ("camvid", {"lr": 0.25, "seeds": [0, 1]})):
        shared = loaded.train_for(dataset, "fcn_8s")
        assert loaded.train_for(dataset, "unet") == shared.model_copy(update=expected)
        assert loaded.deviations(dataset, "unet") == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"train": {"lr": 0.004, "epochs": 3}}, {}),
        ({"train": {"lr": 0.5, "epochs": 3}}, {"lr": 0.5}),
        ({"backbone": {"name": "tf_efficientnet_lite0", "weights": "bundled"}}, {}),
        ({"backbone": {"name": "tf_efficientnet_lite0", "weights": "none"}}, {"backbone_weights": "none"}),
        ({"backbone": {"name": "resnet18", "weights": "none"}}, {"backbone": "resnet18"}),
    ],
)
def test_a_value_of_its_own_that_all_have_is_no_deviation(
    tmp_path: Path, own: dict[str, Any], expected: dict[str, Any]
) -> None:
    shared = {"train.lr": 0.004, "datasets.scenes.train": {"epochs": 3}, "models.unet.train": {}}
    changes = {**shared, **{f"models.unet.{name}": value for name, value in own.items()}}
    assert params.load(write_params(tmp_path, changes)).deviations("scenes", "unet") == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"voc": {"lr": 1}}, "models.unet.train_on names voc; it must be one of datasets"),
        ({"camvid": {"lr": -1}}, "models.unet.train_on.camvid.lr is -1; it must be greater than 0"),
    ],
)
def test_a_mistake_in_a_models_values_on_a_dataset_is_named(
    tmp_path: Path, value: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        params.load(write_params(tmp_path, {"models.unet.train_on": value}))


@pytest.mark.parametrize("section", ["datasets", "models"])
@pytest.mark.parametrize(
    "name",
    ["", "-rf", "a b", "a;b", "$(touch x)", "`id`", "a/b", "..", "a\nb", "a'b", 'a"b', "ä", "A", "a&b", "a@b", "a-b"],
)
def test_names_that_a_shell_or_a_path_would_take_apart_are_refused(tmp_path: Path, section: str, name: str) -> None:
    """Names stand in the commands of dvc.yaml and in paths."""
    tree = yaml.safe_load(write_params(tmp_path, {}).read_text())
    tree[section][name] = tree[section]["scenes" if section == "datasets" else "unet"]
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match=re.escape(f"{path}: {section}")):
        params.load(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"voc": {"lr": 1}}, "models.unet.found names voc; it must be one of datasets"),
        (
            {"scenes": {"lr": 1}},
            "models.unet.found.scenes is {'lr': 1}; it must be one of the candidates of datasets.sc",
        ),
    ],
)
def test_what_a_search_found_is_one_of_its_candidates(tmp_path: Path, value: dict[str, Any], message: str) -> None:
    search = {"epochs": 2, "candidates": [{"lr": 0.5}, {"lr": 0.25}]}
    for found, candidates in (({"lr": 0.25}, search["candidates"]), ({"lr": 1}, [])):
        tried = {**search, "candidates": candidates}
        assert params.load(write_params(tmp_path, {"train.search": tried, "models.unet.found": {"scenes": found}}))
    with pytest.raises(InputError, match=re.escape(message)):
        params.load(write_params(tmp_path, {"train.search": search, "models.unet.found": value}))


def test_an_unknown_dataset_or_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    loaded = params.load(write_params(tmp_path, {}))
    with pytest.raises(InputError, match=r"datasets\.voc is not there; known datasets: scenes, camvid"):
        loaded.dataset("voc")
    with pytest.raises(InputError, match=r"models\.vnet is not there; known models: fcn_8s, unet"):
        loaded.train_for("scenes", "vnet")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    """PyYAML takes 1e-3 for a string, YAML 1.2 and so DVC for a number."""
    path = write_params(tmp_path, {"train.lr": 0.125, "models.unet.train": {"lr": 0.125}})
    path.write_text(path.read_text().replace("0.125", "1e-3"))
    loaded = params.load(path)
    assert loaded.train.lr == loaded.train_for("scenes", "unet").lr == 0.001


def subclasses(section: type[Section]) -> Iterator[type[Section]]:
    for subclass in section.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_value_stands_in_the_file_where_dvc_sees_it() -> None:
    """Only what a model does not share may be left out: there is nothing then."""
    optional = {
        f"{section.__name__}.{name}"
        for section in subclasses(Section)
        for name, field in section.model_fields.items()
        if not field.is_required() and not (issubclass(section, ModelSection) and name in {*OF_TRAINING, "backbone"})
    }
    assert optional == set()
    assert not ModelSection.model_fields["train"].is_required()
    assert ModelSection().train == ModelSection().train_on == ModelSection().found == {}
    assert params.BackboneModel().backbone is None
