"""What users may write after --param, and the one line that each mistake gets."""

import optuna
import pytest

from segbench.errors import InputError
from segbench.search.space import check_paths, drawn, each_alone, parsed, shown, stored


def test_ranges_and_choices_are_read_as_params_yaml_has_them() -> None:
    space = parsed([
        "train.lr=1e-4:0.1:log", "train.batch_size=2:8", "models.unet.skips=true,false",
        "train.loss={cross_entropy: 1},{dice: 1, focal: 1e-1}", "models.unet.decoder_channels=[64, 32],[32, 16]",
    ])  # fmt: skip
    assert shown(space) == {
        "train.lr": "0.0001 to 0.1, log scale",
        "train.batch_size": "2 to 8",
        "models.unet.skips": "true, false",
        "train.loss": '{"cross_entropy": 1}, {"dice": 1, "focal": "1e-1"}',
        "models.unet.decoder_channels": "[64, 32], [32, 16]",
    }
    first = {"train.lr": 0.1, "train.batch_size": 8, "models.unet.skips": False, "train.loss": {"cross_entropy": 1}}
    choice = {**first, "models.unet.decoder_channels": [32, 16]}
    stored_values = stored(space, choice)
    assert stored_values is not None
    assert drawn(space, optuna.trial.FixedTrial(stored_values)) == choice
    assert stored(space, {**choice, "train.lr": 0.2}) is None
    assert stored(space, {**choice, "train.batch_size": 4.5}) is None
    assert stored(space, {**choice, "models.unet.skips": None}) is None


def test_a_drawn_number_is_short_and_within_its_range() -> None:
    space = parsed(["train.lr=0.00123456:0.1"])
    assert drawn(space, optuna.trial.FixedTrial({"train.lr": 0.0345678})) == {"train.lr": 0.0346}
    assert drawn(space, optuna.trial.FixedTrial({"train.lr": 0.00123456})) == {"train.lr": 0.00123456}


def test_each_value_of_a_path_is_tried_with_the_first_of_the_others() -> None:
    assert dict(each_alone(parsed(["a=1:2", "b=x,y"]))) == {
        "a": [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}],
        "b": [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to search for; name parameters with --param"),
        (["train.lr"], "--param train.lr: write PATH=LOW:HIGH"),
        (["train.lr="], "--param train.lr=: write PATH=LOW:HIGH"),
        (["train.lr=0.1:0.01"], "the range begins at 0.1 and ends at 0.01; it must end above"),
        (["train.lr=0:0.1:log"], "a log scale must begin above 0"),
        (["train.lr=0.1:0.2:lgo"], "--param train.lr=0.1:0.2:lgo: write PATH=LOW:HIGH"),
        (["train.lr=low:high"], "--param train.lr=low:high: write PATH=LOW:HIGH"),
        (["train.lr=0.1"], "one value is no choice"),
        (["train.lr=1,[2"], "not readable as values of params.yaml"),
        (["train.lr=1:2", "train.lr=3:4"], "train.lr has a range already"),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        parsed(options)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("crf.trials", "changes what is under models.unet, train, datasets.scenes.train, backbone"),
        ("models.fcn_8s.stride", "changes what is under"),
        ("augment.seed", "samples are the same for all trials"),
        ("train.epochs", "epochs is the same for all trials; say --epochs"),
        ("models.unet.train.seeds", "seeds is the same for all trials"),
    ],
)  # fmt: skip
def test_a_path_that_a_search_does_not_change_is_refused(path: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_paths(parsed([f"{path}=1:2"]), dataset="scenes", model="unet")
    assert message in str(raised.value) and len(str(raised.value).splitlines()) == 1
