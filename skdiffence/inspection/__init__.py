"""What a person looks at: the demo and its table and figures."""

__all__ = []
