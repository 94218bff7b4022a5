"""segbench: the classic segmentation architectures, fairly compared."""
