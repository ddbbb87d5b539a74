from .cifar import CifarPreprocessing as CifarPreprocessing
from .imagenet import ImageNetPreprocessing as ImageNetPreprocessing
from .imagenet_names import imagenet_classes as imagenet_classes
from .pipeline import ImageData as ImageData
from .preprocessing import Preprocessing as Preprocessing
from .preprocessing import preprocessing_from_config as preprocessing_from_config
from .several_labels import MultiLabelData as MultiLabelData
from .sources import open_source as open_source
