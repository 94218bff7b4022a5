"""The lecture's models, one short file each.

Each maps images (N, 3, H, W), float RGB in 0..1 of any H and W, to logits (N, num_classes, H, W).
"""
