"""Membership privacy for trained classifiers: measure the leak, then lower it without one changed label."""

__version__ = "0.1.0"
