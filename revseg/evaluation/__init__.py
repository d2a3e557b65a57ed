"""The DAVIS measures: J, F and J&F per object, per sequence and overall."""

from revseg.evaluation.davis import PROTOCOLS, Report, Score, average, evaluate_folders, evaluate_masks
from revseg.evaluation.measures import Statistics, contour_accuracy, region_similarity, statistics

__all__ = [
    "PROTOCOLS",
    "Report",
    "Score",
    "Statistics",
    "average",
    "contour_accuracy",
    "evaluate_folders",
    "evaluate_masks",
    "region_similarity",
    "statistics",
]
