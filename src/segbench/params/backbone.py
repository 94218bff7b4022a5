"""The section `backbone`, and a model's own backbone."""

from typing import Annotated

from pydantic import Field, model_validator

from segbench.files import file_digest, project_root
from segbench.params.fields import Section, is_existing_file

NO_FILE = ("bundled", "none", "hub")
"""Values of `weights` that are not the path of a file."""
CONTRACTING_PATH = "contracting_path"
"""The backbone's name for U-Net's own, which is no encoder of timm."""


class Backbone(Section):
    """The encoder that all networks share: any timm model with feature maps."""

    name: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _bundled_weights_exist(self) -> "Backbone":
        if self.weights == "bundled" and self.name != "tf_efficientnet_lite0":
            raise ValueError(
                f"weights is bundled, but only tf_efficientnet_lite0 has bundled weights, not {self.name}; "
                "it must be none, hub or a file"
            )
        if self.name == CONTRACTING_PATH and self.weights != "none":
            raise ValueError(f"weights is {self.weights}; it must be none, since {self.name} has none")
        if self.weights not in NO_FILE and not is_existing_file(self.weights):
            raise ValueError(f"weights is {self.weights}; it must be bundled, none, hub or an existing file")
        return self


def weights_file(backbone: Backbone) -> dict[str, str]:
    """The digest of the weights' file by its path, empty if they are of no file. Another may get the same name."""
    path = project_root() / backbone.weights
    return {backbone.weights: file_digest(path)} if backbone.weights not in NO_FILE else {}
