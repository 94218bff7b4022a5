"""Pictures: grids of images and label maps, confusion matrices, the CRF's figures, and the marks of charts."""
