"""The parts of ``paper_table.py``: presets, rows, targets, regenerations, measurements and the report."""
