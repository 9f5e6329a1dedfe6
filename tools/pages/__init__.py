"""The sections that tools/write_numbers.py writes, a module for each kind of page."""
