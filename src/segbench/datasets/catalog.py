"""Opens the source of images that a dataset's section of params.yaml describes."""

from importlib import import_module

from segbench import params
from segbench.datasets.source import Source
from segbench.labels import Classes


def open_source(source: params.AnySource) -> Source:
    """Open the source that a section describes. Raises InputError if its files are missing or wrong."""
    opened: Source = import_module(source.module).open_source(**source.arguments())
    return opened


def classes_of(source: params.AnySource) -> Classes:
    """The classes of a source; its images are not looked at. Raises InputError as `open_source` does."""
    module = import_module(source.module)
    fixed: Classes | None = getattr(module, "CLASSES", None)
    return fixed or module.read_classes(**source.class_arguments())
