# Public names and where they are. __init__.py loads them when they are first used; type checkers and editors read this file.
from .api.evaluating import evaluate as evaluate
from .api.fitting import compile_for_fit as compile_for_fit
from .api.searching import search as search
from .api.training import train as train
from .base.errors import InputError as InputError
from .detection.model import DetectorConfig as DetectorConfig
from .detection.model import build_detector as build_detector
from .genotype import load_genotype as load_genotype
from .models.costs import count_costs as count_costs
from .models.endpoints import cut as cut
from .models.endpoints import endpoints_of as endpoints_of
from .models.network import NetworkConfig as NetworkConfig
from .models.network import build_network as build_network
from .nas.trials.table import read_search as read_search
from .serving.exports.exporting import export as export
from .serving.hub.classifier import load_classifier as load_classifier
from .serving.hub.detector import load_detector as load_detector
from .serving.hub.images import decode_predictions as decode_predictions
from .serving.hub.images import preprocess as preprocess
from .serving.hub.load import load_nasnet as load_nasnet
from .serving.hub.naming import class_names as class_names
from .serving.hub.naming import list_models as list_models
from .serving.weights.convert import load_weights as load_weights
from .serving.weights.convert import save_weights as save_weights
from .serving.weights.convert import to_keras_applications as to_keras_applications
from .training.config import TrainingConfig as TrainingConfig
from .training.optimizers import Momentum as Momentum
from .training.optimizers import RMSProp as RMSProp
from .training.schedules import cosine_decay as cosine_decay
from .training.schedules import exponential_decay as exponential_decay

__version__: str
