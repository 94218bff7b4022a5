"""How many images can be refined at a time in the memory that is left."""

import sys

from segbench.parallel import available_memory_bytes, num_cores

LATTICE_POINTS_PER_PIXEL = 1
"""Of both lattices. Photographs have fewer, noise and very small sigmas more."""
BYTES_PER_PIXEL = 400
"""Of features, corners, weights, chains and hash tables, whatever the number of classes."""
COPIES = 8
"""Of a pixel's row of classes: the network's, two while their logarithms are taken, these in rows, and four results."""
TABLES = 2
"""Messages and their sums: rows of classes of each lattice point."""


def bytes_per_image(*, num_classes: int, num_pixels: int) -> int:
    """About what refining one image takes on a CPU, the search's results after four numbers of steps included."""
    row = 4 * (-(-num_classes // 8) * 8)
    return num_pixels * (row * (COPIES + TABLES * LATTICE_POINTS_PER_PIXEL) + BYTES_PER_PIXEL)


def affordable_workers(*, num_classes: int, num_pixels: int) -> int:
    """As many as the cores, fewer if memory is short, at least one.

    Memory counts for two images more than there are workers, since so many wait. Warns if one does not fit.
    """
    needed, available = bytes_per_image(num_classes=num_classes, num_pixels=num_pixels), available_memory_bytes()
    waiting = 4 * num_classes * num_pixels
    workers = max(0, available - 2 * waiting) // needed
    if workers < 1:
        print(
            f"warning: the CRF needs about {needed / 2**30:.1f} GiB for an image of {num_pixels:,} pixels and "
            f"{num_classes} classes, and {available / 2**30:.1f} GiB are free",
            file=sys.stderr,
        )
    return max(1, min(num_cores(), workers))
