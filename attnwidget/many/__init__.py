"""Many prompts: `score`, `detect_heads` and `study` over a data set, on any `concurrent.futures.Executor`, resumable from a folder."""

from .gpus import take_gpu
from .kinds import detect_dataset
from .kindsfound import DatasetKinds
from .results import PromptFailure
from .scored import DatasetScores
from .scores import score_dataset
from .spec import forget_model
from .studiedset import DatasetStudy
from .study import study_dataset

__all__ = [
    "DatasetKinds",
    "DatasetScores",
    "DatasetStudy",
    "PromptFailure",
    "detect_dataset",
    "forget_model",
    "score_dataset",
    "study_dataset",
    "take_gpu",
]
