"""From label maps to counts, from counts to metrics, and confidence intervals of them."""
