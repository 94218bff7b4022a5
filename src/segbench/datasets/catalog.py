"""From a dataset's section of params.yaml to its source of images."""

from importlib import import_module

from segbench import params
from segbench.datasets.source import Source
from segbench.labels import Classes


def open_source(source: params.AnySource) -> Source:
    """The source that a section names. InputError if its files are not there."""
    opened: Source = import_module(source.module).open_source(**source.arguments())
    return opened


def classes_of(source: params.AnySource) -> Classes:
    """The classes of a source, without a look at its images. InputError as `open_source`."""
    module = import_module(source.module)
    fixed: Classes | None = getattr(module, "CLASSES", None)
    return fixed or module.read_classes(**source.class_arguments())
