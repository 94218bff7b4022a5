"""What reports show: one entry per model, with the CRF off and on."""
