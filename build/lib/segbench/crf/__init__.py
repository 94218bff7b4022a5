"""The dense CRF: its energy, mean-field inference on CPUs and in torch, and the search for its parameters."""
