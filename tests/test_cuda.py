"""On CUDA: every network trains, continues and predicts as on a CPU. `make test-gpu` runs these."""

import copy
from pathlib import Path

import pytest
import torch

from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.prediction.predictor import Predictor
from segbench.training.curves import Epoch
from segbench.training.fit import seed_everything
from tests.parameters import PARAMETERS
from tests.prediction.test_folding import BACKBONE, as_trained
from tests.training.test_fit import a_network, some_data, some_samples, train

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]
NETWORKS = [name for name in PARAMETERS.benchmark.models if PARAMETERS.models[name].has_schedule]


class StoppedError(Exception):
    """In the middle of a training."""


@pytest.mark.parametrize("model", NETWORKS)
def test_every_network_learns_in_bfloat16_in_channels_last(model: str, tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=8)
    network = a_network(model, data)
    schedule = {"batch_size": 4, "epochs": 6, "accelerator": "gpu"}
    rows = train(
        network, some_samples(data, tmp_path), data, tmp_path / "kept", schedule=schedule, precision="bfloat16"
    )
    losses = [row.train_loss for row in rows]
    assert losses[-1] < 0.8 * losses[0]
    kernels = [weight for weight in network.parameters() if weight.dim() == 4 and min(weight.shape[1:]) > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)


def test_a_training_that_was_interrupted_continues_to_the_same_weights(tmp_path: Path) -> None:
    """But for the last bits: CUDA sums in no fixed order."""

    def stop_after_two(row: Epoch) -> None:
        if row.epoch == 2:
            raise StoppedError

    data = some_data(tmp_path, num_train=8, num_val=2)
    samples = some_samples(data, tmp_path)
    schedule = {"batch_size": 4, "epochs": 4, "accelerator": "gpu"}
    through, stopped = (a_network("fcn_8s", data) for _ in range(2))
    train(through, samples, data, tmp_path / "through", schedule=schedule)
    with pytest.raises(StoppedError):
        train(stopped, samples, data, tmp_path / "stopped", schedule=schedule, on_epoch=stop_after_two)
    continued = a_network("fcn_8s", data)
    rows = train(continued, samples, data, tmp_path / "stopped", schedule=schedule)
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    for name, weight in through.state_dict().items():
        assert torch.allclose(continued.state_dict()[name].cpu(), weight.cpu(), rtol=1e-2, atol=1e-3), name


@pytest.mark.parametrize("model", PARAMETERS.benchmark.models)
def test_predictions_are_those_of_the_cpu(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seed_everything(0)
    network = as_trained(build_model(PARAMETERS.model(model), backbone=BACKBONE, num_classes=5))
    if isinstance(network, Network):
        network = network.eval()
    image = (torch.rand(96, 128, 3) * 255).byte().numpy()
    on_gpu = Predictor(copy.deepcopy(network), scale=1.0)
    assert on_gpu.device.type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = Predictor(network, scale=1.0)
    assert on_cpu.device.type == "cpu"
    assert (on_gpu.label_map(image) == on_cpu.label_map(image)).mean() > 0.999
