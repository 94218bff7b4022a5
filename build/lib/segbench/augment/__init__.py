"""Random transforms of training images, and the stream of samples that every network sees."""
