"""From an entry of `datasets` in params.yaml to its source of images."""

from segbench import params
from segbench.datasets import ade20k, camvid, cityscapes, coco, folder, oxford_pet, scenes, voc2012
from segbench.datasets.source import Source
from segbench.labels import Classes


def open_source(source: params.AnySource) -> Source:
    """The source that an entry of `datasets` names. InputError if its files are not there."""
    match source:
        case params.ScenesSource():
            return scenes.open_source(
                seed=source.seed,
                width_px=source.width_px,
                height_px=source.height_px,
                num_images={"train": source.num_train, "val": source.num_val, "test": source.num_test},
            )
        case params.CamvidSource():
            return camvid.open_source(source.root, split=source.split)
        case params.FolderSource():
            return folder.open_source(source.root, groups=source.groups, bits=source.bits, split=source.split)
        case params.VOC2012Source():
            return voc2012.open_source(source.root, sbd=source.sbd)
        case params.CityscapesSource():
            return cityscapes.open_source(source.root)
        case params.OxfordPetSource():
            return oxford_pet.open_source(source.root)
        case params.ADE20KSource():
            return ade20k.open_source(source.root)
        case params.COCOSource():
            return coco.open_source(source.root, labels=source.labels)


def classes_of(source: params.AnySource) -> Classes:
    """The classes that an entry of `datasets` has, without a look at its images. InputError as `open_source`."""
    match source:
        case params.ScenesSource():
            return scenes.CLASSES
        case params.CamvidSource():
            return camvid.CLASSES
        case params.FolderSource():
            return folder.read_classes(source.root).classes
        case params.VOC2012Source():
            return voc2012.CLASSES
        case params.CityscapesSource():
            return cityscapes.CLASSES
        case params.OxfordPetSource():
            return oxford_pet.CLASSES
        case params.ADE20KSource():
            return ade20k.read_classes(source.root)
        case params.COCOSource():
            return coco.read_classes(source.root, labels=source.labels)
