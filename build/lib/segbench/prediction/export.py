"""Networks in files that other programs can run: ONNX and torch.export, both for images of every size.

The input `images` is (N, 3, H, W) float32 RGB in 0..1; the output `logits` is (N, C, H, W). A file holds the network
alone: whoever runs it scales the images first, as `Predictor` does, and enlarges the logits afterwards.
"""

import copy
import io
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.errors import InputError
from segbench.files import replacing
from segbench.images import RGBImage, scale_image
from segbench.labels import LabelMap
from segbench.models.network import enlarge
from segbench.prediction.exportable import exportable
from segbench.prediction.predictor import Probabilities

EXPORTERS = ("onnx", "onnxruntime", "onnxscript")
"""Packages that an export to ONNX needs beside this project's own."""
EXAMPLE_SHAPE = (2, 3, 65, 97)
"""Of the images with which a network is followed: no side divides evenly, so a size that is kept by mistake shows."""
PARITY_SIZES_PX = ((96, 128), (161, 225))
PARITY_BATCHES = (1, 2)
TOLERANCE, RELATIVE_TOLERANCE = 1e-4, 1e-5
MIN_EQUAL_LABELS = 0.999


def export_onnx(network: nn.Module, *, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network, which stays as it is, as an ONNX file with its weights. metadata: becomes its metadata_props.

    Raises InputError if a package is missing or the network cannot be exported.
    """
    _require("exporting to ONNX", *EXPORTERS)
    import onnx

    program = _program(network, path=path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own libraries
        try:
            exported = torch.onnx.export(
                program, dynamo=True, input_names=["images"], output_names=["logits"], verbose=False,
                custom_translation_table={operator.floordiv: _floor_division()},
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            raise _not_exported(path, error) from None
    assert exported is not None
    model: Any = exported.model_proto
    del model.graph.value_info[:]  # shapes between the layers, in the exporter's names for the sizes
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in ((0, "N"), (2, "H"), (3, "W")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    onnx.helper.set_model_props(model, dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def export_torch(network: nn.Module, *, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network, which stays as it is, as a program of torch.export with its weights.

    `torch.export.load(path).module()` runs it without this project. metadata: becomes the file's extra_files. Raises
    InputError if it cannot be exported.
    """
    content = io.BytesIO()  # written by its name, torch would complain of the temporary one
    torch.export.save(_program(network, path=path), content, extra_files=dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _program(network: nn.Module, *, path: Path) -> torch.export.ExportedProgram:
    """The network as a graph of torch's operations, whose batch size, height and width are symbols."""
    sizes = {axis: torch.export.Dim(name, min=1) for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}
    # Otherwise torch takes for granted what holds for the example: that no size is 1, and that images need a border.
    # torch's own ONNX exporter sets this, too, when it makes the graph.
    any_size = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with any_size, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(
                exportable(network),
                (torch.zeros(EXAMPLE_SHAPE),),
                dynamic_shapes=(sizes,),
                prefer_deferred_runtime_asserts_over_guards=True,  # checks in the graph where a proof is not found
            )
        except Exception as error:  # an exporter meets any network, and raises many types
            raise _not_exported(path, error) from error


def _floor_division() -> Callable[..., Any]:
    """What `//` of sizes becomes in ONNX, whose own division of integers rounds towards 0, also below 0."""
    from onnxscript import INT64
    from onnxscript import opset18 as onnx_operator

    def floor_division(dividend: INT64, divisor: INT64) -> INT64:
        remainder = onnx_operator.Mod(dividend, divisor)  # of the divisor's sign, as in Python
        return onnx_operator.Div(onnx_operator.Sub(dividend, remainder), divisor)

    return floor_division


def _not_exported(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0]
    return InputError(f"{path}: the network cannot be exported ({type(error).__name__}: {reason})")


def _require(purpose: str, *packages: str) -> None:
    if any(find_spec(package) is None for package in packages):
        *others, last = packages
        names = f"packages {', '.join(others)} and {last}" if others else f"package {last}"
        raise InputError(f"{purpose} needs the {names}: pip install {' '.join(packages)}")


Engine = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) float32 RGB in 0..1 on the CPU -> logits (N, C, H, W)."""


@dataclass(frozen=True)
class Parity:
    """How an exported file compares with its network for one shape of images."""

    batch: int
    height: int
    width: int
    logit_difference: float
    """The largest, of all logits."""
    logit_scale: float
    """The network's largest logit, without its sign."""
    equal_labels: float
    """The share of pixels to which both give the same class."""

    @property
    def tolerance(self) -> float:
        """The largest difference of logits that may be."""
        return max(TOLERANCE, RELATIVE_TOLERANCE * self.logit_scale)

    def __str__(self) -> str:
        return (
            f"{self.batch} x {self.width}x{self.height} px: logits differ by up to {self.logit_difference:.2g} "
            f"(at most {self.tolerance:.2g}), {100 * self.equal_labels:.3f} % of pixels have the same class"
        )


def check_parity(network: nn.Module, path: Path, *, sizes: Sequence[tuple[int, int]] = PARITY_SIZES_PX) -> list[Parity]:
    """Compare a file of `export_onnx` or `export_torch` with its network, for single images and batches of 2.

    sizes: heights and widths in px. Images are smooth random colours, the same in each call. Logits may differ by 1e-4,
    or by 1e-5 of the largest logit where that is above 10. Float32 can do no better: one rounding is up to 6e-8 of a
    value, and engines add the thousands of products behind a logit in orders of their own, in each of 50 to 100 layers.
    Trained networks were found to differ by 1e-6 of the largest logit, ten times less. The class must be the same at
    99.9 % of the pixels; where two classes are equally probable, rounding decides.

    Returns what was found for each shape. Raises InputError that names the file, the shape and what differs.
    """
    engine = _engine(path)
    own = copy.deepcopy(network).cpu().eval()
    found: list[Parity] = []
    generator = torch.Generator().manual_seed(0)
    for height, width in sizes:
        for batch in PARITY_BATCHES:
            coarse = torch.rand(batch, 3, height // 8 + 2, width // 8 + 2, generator=generator)
            images = enlarge(coarse, (height, width))
            with torch.inference_mode():
                expected = own(images)
            try:
                logits = engine(images)
            except Exception as error:  # each engine raises types of its own
                reason = (str(error).splitlines() or [""])[0]
                raise InputError(f"{path}: fails for {batch} x {width}x{height} px: {reason}") from None
            if logits.shape != expected.shape:
                raise InputError(
                    f"{path}: {batch} x {width}x{height} px: logits have the shape {tuple(logits.shape)}; "
                    f"the network's have {tuple(expected.shape)}"
                )
            difference, scale = (logits - expected).abs().max(), expected.abs().max()
            equal = (logits.argmax(dim=1) == expected.argmax(dim=1)).float().mean()
            one = Parity(batch, height, width, float(difference), float(scale), float(equal))
            if not (one.logit_difference <= one.tolerance and one.equal_labels >= MIN_EQUAL_LABELS):  # or NaN
                raise InputError(f"{path}: differs from the network: {one}; {100 * MIN_EQUAL_LABELS} % must")
            found.append(one)
    return found


def _engine(path: Path) -> Engine:
    """What computes an exported file. InputError if it cannot be read."""
    match path.suffix:
        case ".onnx":
            session = _session(path)
            return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        case ".pt2":
            if not path.is_file():
                raise InputError(f"{path}: no such file")
            try:
                program: Any = torch.export.load(path).module()
            except Exception as error:  # torch and zipfile raise many types
                raise InputError(f"{path}: not a program of torch.export ({type(error).__name__})") from None
            return torch.inference_mode()(program)
        case _:
            raise InputError(f"{path}: the name of an exported network ends in .onnx or .pt2")


def _session(path: Path) -> Any:
    """ONNX Runtime with a file, on the CPU with torch's number of threads. InputError if it cannot be read."""
    _require("running an ONNX file", "onnxruntime")
    import onnxruntime

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a type for each reason, without a common one
        raise InputError(f"{path}: not an ONNX file that can be run ({type(error).__name__})") from None


class OnnxPredictor:
    """Predicts whole images, each seen once, as `Predictor` does: a file of `export_onnx` in ONNX Runtime on the CPU.

    Tiles and several views are Predictor's alone.

    scale: as Predictor's. metadata: what the file says about its network.
    """

    def __init__(self, path: Path, *, scale: float) -> None:
        self.session = _session(path)
        self.device = torch.device("cpu")
        self.scale = scale
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def _logits(self, image: RGBImage) -> Tensor:
        """(H, W, 3) uint8 RGB -> (1, C, H, W) logits"""
        scaled: NDArray[np.uint8] = np.array(scale_image(image, scale=self.scale))
        pixels = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        logits = torch.from_numpy(self.session.run(None, {"images": pixels})[0])
        return F.interpolate(logits, size=image.shape[:2], mode="bilinear", align_corners=False)

    def probabilities(self, image: RGBImage) -> Probabilities:
        """(H, W, 3) uint8 RGB -> (C, H, W) float32 probabilities"""
        return self._logits(image)[0].softmax(dim=0).numpy()

    def label_map(self, image: RGBImage) -> LabelMap:
        """(H, W, 3) uint8 RGB -> (H, W) label map of the most probable classes"""
        return self._logits(image)[0].argmax(dim=0).to(torch.uint8).numpy()
