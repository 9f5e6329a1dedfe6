"""The search for a better recipe. Needs ``mien[train,tune]``.

space → study (storage) → report
"""
