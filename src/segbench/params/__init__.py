"""params.yaml as typed, validated values: one file per section, `loading` for the whole, `wording` for mistakes.

`params.load()` reads the file; `params.Train` and its like are the sections. No value has a default here: every value
stands in params.yaml, where DVC sees it change.
"""

from segbench.params.augment import Augment as Augment
from segbench.params.backbone import CONTRACTING_PATH as CONTRACTING_PATH
from segbench.params.backbone import Backbone as Backbone
from segbench.params.benchmark import Benchmark as Benchmark
from segbench.params.champion import Champion as Champion
from segbench.params.compare import Compare as Compare
from segbench.params.crf import CRF as CRF
from segbench.params.datasets import Claims as Claims
from segbench.params.datasets import Dataset as Dataset
from segbench.params.datasets import ModelInput as ModelInput
from segbench.params.evaluate import Evaluate as Evaluate
from segbench.params.fields import Section as Section
from segbench.params.loading import PARAMS_FILE as PARAMS_FILE
from segbench.params.loading import Params as Params
from segbench.params.loading import load as load
from segbench.params.loading import value_at as value_at
from segbench.params.models import OF_TRAINING as OF_TRAINING
from segbench.params.models import AnyModel as AnyModel
from segbench.params.models import BackboneModel as BackboneModel
from segbench.params.models import UNetModel as UNetModel
from segbench.params.overrides import with_values as with_values
from segbench.params.sources import AnySource as AnySource
from segbench.params.sources import CamvidSource as CamvidSource
from segbench.params.sources import FolderSource as FolderSource
from segbench.params.sources import FoldersSplit as FoldersSplit
from segbench.params.sources import ListsSplit as ListsSplit
from segbench.params.sources import RatioSplit as RatioSplit
from segbench.params.sources import ScenesSource as ScenesSource
from segbench.params.train import NOT_SEARCHED as NOT_SEARCHED
from segbench.params.train import LossName as LossName
from segbench.params.train import Train as Train
from segbench.params.variants import Variant as Variant
