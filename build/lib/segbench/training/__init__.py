"""One training: samples, losses, learning rate, precision, and the loop that resumes where it was killed."""

from segbench.standins import SCIPY_SIGNAL, standing_in

with standing_in(SCIPY_SIGNAL):
    import lightning  # noqa: F401  # here, so that it is before any other import of it
