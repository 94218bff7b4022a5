"""The protocol: a setting is said of the models that have it."""

from segbench.report.pages.protocol import protocol
from tests.report.sample_results import INDEPENDENT, a_model


def test_the_protocol_names_the_models_that_differ_from_the_others() -> None:
    models = [a_model("unet"), a_model("pspnet"), a_model("slow", lr=0.5, seeds=(0,)), a_model("clusters", epochs=0)]
    lines = protocol("streets", INDEPENDENT, models)
    assert lines["schedule"] == (
        "40 epochs, batch 8, sgd, lr 0.01 (backbone 0.5 of it); "
        "slow: 40 epochs, batch 8, sgd, lr 0.5 (backbone 0.5 of it)"
    )
    assert lines["backbone"] == "resnet18, weights bundled"
    assert lines["seeds"] == "0, 1, 2; slow: 0"
    assert lines["loss"] == "1 dice"
    assert "loss" not in protocol("streets", INDEPENDENT, models[3:])
