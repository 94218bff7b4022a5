"""The lecture's models, one short file each. Every one maps images to logits:

images: (N, 3, H, W) float RGB in 0..1, any H and W; logits: (N, num_classes, H, W).
"""
