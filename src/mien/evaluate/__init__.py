"""Evaluation: what a model says of faces, held against what people said of them.

The road: `answers` (a model's readings, or a peer's file) → `truths` (what each is held against) → `metrics`,
`votes`, `calibration`, `faces`, `robustness` (the numbers) → `run` (all of them in one record) → `figures`,
`report` (what a person sees). `compare` holds several models against the same truths.
"""
