"""What a GPU does with the project, in one table that ends within minutes. Run with `make bench-gpu`.

For every network of params.yaml: a short training on `scenes` by the train stage's loop, with the mean IoU on
validation images at its end; a training step on larger images; predictions of one image and of batches. Beside those,
the same for the networks of segmentation_models_pytorch and torchvision on the same backbone: as their users run them
(contiguous, float32) and alike (channels last, our precision). Needs what `make test` installs, and no network.

When the minutes are over, what is left is `-`. Without a GPU it runs on the CPU, slowly: name a few models.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.markdown import print_table
from benchmarks.training import DEVICE, NUM_CLASSES, PEERS, Ours, Peer, Theirs, finished
from segbench import params
from segbench.augment.stream import Recipe, write_augmented
from segbench.datasets.catalog import open_source
from segbench.datasets.preparation import prepare
from segbench.errors import InputError
from segbench.machine import describe_machine
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.prediction.predictor import Predictor
from segbench.training.fit import fit, seed_everything
from segbench.training.precision import Precision, choose_precision
from segbench.training.samples import AugmentedSamples, WholeImages

DATASET, EPOCHS = "scenes", 3
CROP_PX, BATCH_SIZE = (352, 480), 8
"""Of training steps: CamVid at its full resolution."""
PHOTO_PX, PHOTOS = (384, 512), 16
"""Of predictions: height and width, and images in a batch."""
WARM_UP, ROUNDS, MOST_S = 3, 10, 5.0


def measured(work: Callable[..., object], *arguments: Tensor, per: int) -> tuple[str, str]:
    """Median milliseconds per image of ROUNDS calls after WARM_UP, and peak MiB of the GPU; `per` images a call.

    On a slow machine, the calls end after MOST_S seconds, and after two.
    """
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times_ms: list[float] = []
    ends = time.perf_counter() + MOST_S
    while len(times_ms) < WARM_UP + ROUNDS and (len(times_ms) < 2 or time.perf_counter() < ends):
        finished()
        start = time.perf_counter()
        work(*arguments)
        finished()
        times_ms.append(1000 * (time.perf_counter() - start) / per)
    warm = times_ms[min(WARM_UP, len(times_ms) - 1) :]
    return f"{statistics.median(warm):.2f}", peak_mib()


def peak_mib() -> str:
    """Of PyTorch's tensors on the GPU since the last reset."""
    return f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if DEVICE.type == "cuda" else "-"


class Check:
    """Measures networks until the time is over."""

    def __init__(self, parameters: params.Params, folder: Path, *, ends: float, epochs: int) -> None:
        self.parameters, self.folder, self.ends, self.epochs = parameters, folder, ends, epochs
        self.precision = choose_precision("auto", DEVICE.type)
        entry = parameters.dataset(DATASET)
        self.data = prepare(open_source(entry.source), folder / "prepared")
        recipe = Recipe(
            seed=parameters.augment.seed, copies=entry.copies, scale=entry.input.scale,
            crop_px=(entry.input.crop_px[0], entry.input.crop_px[1]), transforms=parameters.augment.transforms,
        )  # fmt: skip
        write_augmented(recipe, self.data, folder / "augmented")
        self.samples = AugmentedSamples(folder / "augmented", self.data)
        torch.manual_seed(0)
        self.images = torch.randint(256, (BATCH_SIZE, 3, *CROP_PX), dtype=torch.uint8).to(DEVICE)
        self.label_maps = torch.randint(NUM_CLASSES, (BATCH_SIZE, *CROP_PX), dtype=torch.uint8).to(DEVICE)
        self.photos = torch.rand(PHOTOS, 3, *PHOTO_PX).to(DEVICE)

    @property
    def is_over(self) -> bool:
        """Whether the minutes are."""
        return time.perf_counter() > self.ends

    def train(self, model: str) -> list[str]:
        """Seconds of a short training with the train stage's loop, and mean IoU on validation images in %."""
        network = self._build(model, num_classes=len(self.data.classes))
        if not isinstance(network, Network) or self.is_over:
            return ["-", "-"]
        shortened = {"epochs": self.epochs, "validate_every_epochs": self.epochs}
        schedule = self.parameters.train_for(DATASET, model).model_copy(update=shortened)
        validation = WholeImages(self.data, "val", scale=self.parameters.dataset(DATASET).input.scale)
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):  # its progress
            curves = fit(
                network, self.samples, validation, schedule=schedule, seed=0, precision=self.precision,
                class_weights=None, num_classes=len(self.data.classes), checkpoints=self.folder / model,
                on_epoch=lambda row: None,
            )  # fmt: skip
        score = curves[-1].val_mean_iou
        return [f"{time.perf_counter() - start:.1f}", "-" if score is None else f"{100 * score:.1f}"]

    def step(self, model: str) -> list[str]:
        """Milliseconds per image of a training step of ours, and MiB."""
        if self.is_over or not isinstance(self._build(model, num_classes=NUM_CLASSES), Network):
            return ["-", "-"]
        ours = Ours(self.parameters.model_for(DATASET, model), self.parameters, self.precision)
        return list(measured(ours, self.images, self.label_maps, per=BATCH_SIZE))

    def their_step(self, peer: Peer, precision: Precision | None) -> list[str]:
        """The same of another library's network. precision: None for a contiguous network in float32."""
        if self.is_over:
            return ["-", "-"]
        theirs = Theirs(self._theirs(peer), precision)
        pixels, targets = self.images.float().div(255), self.label_maps.long()
        return list(measured(theirs, pixels, targets, per=BATCH_SIZE))

    def predict(self, network: nn.Module) -> list[str]:
        """Milliseconds of one image, and per image of a batch; MiB of the batch."""
        if self.is_over:
            return ["-", "-", "-"]

        @torch.inference_mode()
        def label_maps(images: Tensor) -> Tensor:
            output = network(images)
            logits = output["out"] if isinstance(output, dict) else output
            return F.interpolate(logits, size=PHOTO_PX, mode="bilinear", align_corners=False).argmax(dim=1)

        photos = self.photos.contiguous(memory_format=torch.channels_last)
        (one_ms, _), (batch_ms, mib) = (
            measured(label_maps, images, per=len(images)) for images in (photos[:1], photos)
        )
        return [one_ms, batch_ms, mib]

    def our_predictions(self, model: str) -> list[str]:
        """As the pipeline predicts."""
        network = self._build(model, num_classes=NUM_CLASSES)
        return self.predict(Predictor(network, scale=1.0).model)

    def their_predictions(self, peer: Peer) -> list[str]:
        """Channels last, in float32 as ours."""
        network = self._theirs(peer).eval().to(DEVICE)
        return self.predict(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def _build(self, model: str, *, num_classes: int) -> nn.Module:
        seed_everything(0)
        section, backbone = self.parameters.model_for(DATASET, model), self.parameters.backbone_for(model)
        return build_model(section, backbone=backbone, num_classes=num_classes)

    def _theirs(self, peer: Peer) -> nn.Module:
        return peer.build(self.parameters.model_for(DATASET, peer.model), self.parameters.backbone.name)


def attempted(work: Callable[..., list[str]], *arguments: object, cells: int) -> list[str]:
    """What it measured; on failure the reason, so that the others are still measured."""
    try:
        return work(*arguments)
    except (RuntimeError, InputError, AssertionError) as error:  # out of memory, an operation without a kernel
        return [f"{type(error).__name__}: {str(error).splitlines()[0][:60]}", *["-"] * (cells - 1)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", help="the benchmark's by default")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the short trainings")
    parser.add_argument("--minutes", type=float, default=6.0)
    arguments = parser.parse_args()
    ends = time.perf_counter() + 60 * arguments.minutes
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    models: Sequence[str] = arguments.models or parameters.benchmark.models
    with tempfile.TemporaryDirectory() as temporary:
        check = Check(parameters, Path(temporary), ends=ends, epochs=arguments.epochs)
        name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
        print("# On a GPU\n")
        print(f"{name}, {describe_machine()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}.", end=" ")
        print(f"Ours trains in {check.precision}.\n")
        print(f"Training: {arguments.epochs} epochs of `{DATASET}` by the train stage's loop.", end=" ")
        height, width = CROP_PX
        print(f"Step: batches of {BATCH_SIZE} of {width}x{height} px, medians of {ROUNDS}.", end=" ")
        height, width = PHOTO_PX
        print(f"Prediction: {width}x{height} px to label maps in float32, one image, and batches of {PHOTOS}.\n")
        rows = []
        for model in models:
            trained = attempted(check.train, model, cells=2)
            step = attempted(check.step, model, cells=2)
            rows.append([model, *trained, *step, *attempted(check.our_predictions, model, cells=3)])
        print_table(
            [
                "ours",
                "training s",
                "val mIoU %",
                "step ms per image",
                "MiB",
                "one image ms",
                "batch ms per image",
                "MiB",
            ],
            rows,
        )
        print("\n## The same networks of other libraries\n")
        rows = []
        for peer in PEERS:
            if peer.model not in models:
                continue
            steps = [attempted(check.their_step, peer, wanted, cells=2) for wanted in (None, check.precision)]
            predicted = attempted(check.their_predictions, peer, cells=3)
            rows.append([f"{peer.library} {peer.model}", *steps[0], *steps[1], *predicted])
        print_table(
            [
                "theirs", "step as run ms per image", "MiB", "step alike ms per image", "MiB", "one image ms",
                "batch ms per image", "MiB",
            ],
            rows,
        )  # fmt: skip
        print(f"\n{(time.perf_counter() - ends) / 60 + arguments.minutes:.1f} minutes.")


if __name__ == "__main__":
    main()
