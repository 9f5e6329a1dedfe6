"""The words of the field, in the one order that mien uses everywhere."""

from typing import Final

EXPRESSIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven expressions in the order of FER-2013's labels 0..6 (Goodfellow et al. 2013)."""

CROWD: Final = (*EXPRESSIONS, "contempt", "unknown", "not_a_face")
"""The ten answers an annotator of FER+ could give (Barsoum et al. 2016), in mien's order."""
