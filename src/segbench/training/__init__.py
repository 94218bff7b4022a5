"""One training: samples, losses, learning rate, precision, and the loop that resumes where it was killed."""
