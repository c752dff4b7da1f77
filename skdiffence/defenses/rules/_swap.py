"""One regeneration for every row: candidate 0, relabeled where it changes the label."""

from skdiffence.defenses.rules._first import FirstRule


class SwapRule(FirstRule):
    """Take candidate 0 always; where it changes the label, its top entry and the label's entry change places.

    Every row costs one regeneration, the least that any rule can, and takes the same time, so that the time of an
    answer tells nothing. The price is paid in confidence: a row whose candidate disagrees is answered with the
    confidence that the classifier has in another label. ``fallback`` has no effect under this rule.

    See Also
    --------
    FirstRule : Searches on until a candidate keeps the label.

    Examples
    --------
    >>> from skdiffence.defenses import SwapRule
    >>> SwapRule().max_candidates
    1
    """

    max_candidates = 1
    swaps = True
