"""Helpers shared by all rooms: the only place that imports private scikit-learn names."""
