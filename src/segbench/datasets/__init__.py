"""Sources of images, one file each, and the prepared form that they are all brought into."""
