"""Training: from a data set to a folder with a model that `mien.Recognizer` reads. Needs ``mien[train]``."""
