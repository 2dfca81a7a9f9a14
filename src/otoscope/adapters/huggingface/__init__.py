"""Speech models of transformers: from the hub, a folder or memory."""

from otoscope.adapters.huggingface.attention_maps import attention_statistics
from otoscope.adapters.huggingface.loading import load_huggingface
from otoscope.adapters.huggingface.recogniser import HuggingFaceRecogniser

__all__ = ["HuggingFaceRecogniser", "attention_statistics", "load_huggingface"]
