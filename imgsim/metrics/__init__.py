"""Metrics of retrieval quality, computed from the relevance of ranked results."""

from imgsim.metrics._ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)
from imgsim.metrics._report import retrieval_report

__all__ = [
    "average_precision_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
    "retrieval_report",
]
