"""Pictures: grids of images and label maps, charts, and DVC's plots."""
