"""The name that release 0.1.0 gave `postgres_ml.components.frame_reader`, for what it stored."""

from postgres_ml.components.frame_reader import FrameReader

__all__ = ["FrameReader"]
