"""The name that release 0.1.0 gave `postgres_ml.serve.onnx_model`, for what it stored."""

from postgres_ml.serve.onnx_model import GraphInput, OnnxClassifier, OnnxModel

__all__ = ["GraphInput", "OnnxClassifier", "OnnxModel"]
