"""What computing a network takes."""

import pytest
import torch

from segbench.models.sliding_window import SlidingWindow
from segbench.prediction import costs


def test_the_forms_are_compared_on_the_middle_of_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "MOST_SIDE_PX", 32)
    torch.manual_seed(0)
    model = SlidingWindow(
        num_classes=3, patch_px=16, stride=4, channels=4, hidden_channels=8
    ).eval()  # fmt: skip
    middle = torch.rand(1, 3, 24, 32)
    large = torch.rand(1, 3, 24, 100)
    large[..., 34:66] = middle
    of_large, of_middle = costs.compare_forms(model, costs.middle(large)), costs.compare_forms(model, middle)
    assert [form.num_positions for form in of_large] == [4, 12, 48, 192, 768]
    for one, other in zip(of_large, of_middle, strict=True):
        assert one.largest_score == other.largest_score
        assert one.slid_multiply_adds == other.slid_multiply_adds
