"""The section `models`: one class for each architecture.

A new model is a class here, a module in `segbench.models`, and an entry in params.yaml.
"""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from segbench.params.backbone import CONTRACTING_PATH, Backbone
from segbench.params.fields import Count, NotNegative, Odd, OutputStride, Positive, Rates, Section, Share

OF_TRAINING = {"train", "train_on", "found"}
"""Fields of an entry that say how it is trained, and not what it is."""


class ModelSection(Section):
    """What every entry of `models` may hold: deviations from `train`, each printed in the table.

    network: the class, as `module:name`, which is imported when it is built; this package stays free of torch.
    pools_the_image: batch norm follows a pooling to one value per image, so that a step needs two images.
    ends_with_crf: the paper reports the network with the dense CRF behind it.
    has_schedule: it is trained by epochs, as `train` says.
    train_on: deviations that hold on one dataset alone, by its name.
    found: by dataset, the candidate of its search that was the best for the model. Given it, none is tried again.
    """

    network: ClassVar[str]
    pools_the_image: ClassVar[bool] = False
    ends_with_crf: ClassVar[bool] = False
    has_schedule: ClassVar[bool] = True
    train: dict[str, Any] = Field(default_factory=dict)
    train_on: dict[str, dict[str, Any]] = Field(default_factory=dict)
    found: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def network_module(self) -> str:
        """The module that holds the network."""
        return self.network.partition(":")[0]


class BackboneModel(ModelSection):
    """A network on the shared backbone, or on its own, which the table prints as a deviation."""

    backbone: Backbone | None = None


class ColorClustersModel(ModelSection):
    network: ClassVar[str] = "segbench.models.color_clusters:ColorClusters"
    has_schedule: ClassVar[bool] = False
    architecture: Literal["color_clusters"]
    num_clusters: Count


class SlidingWindowModel(ModelSection):
    network: ClassVar[str] = "segbench.models.sliding_window:SlidingWindow"
    architecture: Literal["sliding_window"]
    patch_px: Annotated[int, Field(ge=12, multiple_of=4, strict=True)]
    stride: Literal[1, 2, 4, 8]
    channels: Count
    hidden_channels: Count


class FCNModel(BackboneModel):
    network: ClassVar[str] = "segbench.models.fcn:FCN"
    architecture: Literal["fcn"]
    stride: Literal[8, 16, 32]
    upsampling: Literal["transposed", "bilinear"]
    fc6_kernel_px: Odd
    head_channels: Count
    dropout: Share
    batch_norm: bool
    skip_scales: Annotated[list[Positive], Field(min_length=2, max_length=2)]


class UNetModel(BackboneModel):
    """contracting_path: the class of the paper's own encoder, which an entry gets by that backbone's name."""

    network: ClassVar[str] = "segbench.models.unet:UNet"
    contracting_path: ClassVar[str] = "segbench.models.unet:ContractingPath"
    architecture: Literal["unet"]
    decoder_channels: Annotated[list[Count], Field(min_length=1)]
    batch_norm: bool
    skips: bool

    @model_validator(mode="after")
    def _one_entry_per_step(self) -> "UNetModel":
        num_steps = 4 if self.backbone and self.backbone.name == CONTRACTING_PATH else 5
        if len(self.decoder_channels) != num_steps:
            raise ValueError(
                f"decoder_channels has {len(self.decoder_channels)} entries; it must have {num_steps}, one per step"
            )
        return self


class PSPNetModel(BackboneModel):
    network: ClassVar[str] = "segbench.models.pspnet:PSPNet"
    pools_the_image: ClassVar[bool] = True
    architecture: Literal["pspnet"]
    output_stride: OutputStride
    bins: list[Count]
    head_channels: Count
    dropout: Share
    auxiliary_channels: Count
    auxiliary_weight: NotNegative


class AtrousModel(BackboneModel):
    """A network whose head has atrous convolutions on the backbone's last feature.

    rates_for_map_px: the side of the feature maps that the rates are for. `rates.fitted` scales them to the maps of a
    dataset; None: they are used as they are.
    """

    output_stride: OutputStride
    rates_for_map_px: Count | None


class DeepLabV1Model(AtrousModel):
    network: ClassVar[str] = "segbench.models.deeplab_v1:DeepLabV1"
    ends_with_crf: ClassVar[bool] = True
    architecture: Literal["deeplab_v1"]
    atrous_rate: Count
    head_channels: Count
    dropout: Share
    batch_norm: bool


class DeepLabV2Model(AtrousModel):
    network: ClassVar[str] = "segbench.models.deeplab_v2:DeepLabV2"
    ends_with_crf: ClassVar[bool] = True
    architecture: Literal["deeplab_v2"]
    atrous_rates: Rates


class DeepLabV3Model(AtrousModel):
    network: ClassVar[str] = "segbench.models.deeplab_v3:DeepLabV3"
    pools_the_image: ClassVar[bool] = True
    architecture: Literal["deeplab_v3"]
    atrous_rates: Rates
    image_pooling: bool
    head_channels: Count
    dropout: Share


class DeepLabV3PlusModel(AtrousModel):
    network: ClassVar[str] = "segbench.models.deeplab_v3_plus:DeepLabV3Plus"
    pools_the_image: ClassVar[bool] = True
    architecture: Literal["deeplab_v3_plus"]
    atrous_rates: Rates
    image_pooling: bool
    head_channels: Count
    low_level_channels: Count
    dropout: Share


AnyModel = (
    ColorClustersModel
    | SlidingWindowModel
    | FCNModel
    | UNetModel
    | PSPNetModel
    | DeepLabV1Model
    | DeepLabV2Model
    | DeepLabV3Model
    | DeepLabV3PlusModel
)


def section_of(architecture: str) -> type[ModelSection]:
    """The section of an architecture, by the name that params.yaml and reports have for it."""
    sections = {get_args(section.model_fields["architecture"].annotation)[0]: section for section in get_args(AnyModel)}
    return sections[architecture]
