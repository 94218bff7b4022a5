"""Sources of images, one file each, and the prepared form that all of them are brought into."""
