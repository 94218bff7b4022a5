"""Trained networks on whole images, what that costs, and label maps that other programs predicted."""
