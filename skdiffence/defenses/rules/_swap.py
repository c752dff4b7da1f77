"""The rule of one regeneration for every row: candidate 0, relabeled where it changes the label."""

from skdiffence.defenses.rules._first import FirstRule


class SwapRule(FirstRule):
    """Choose candidate 0; where it changes the label, exchange its largest probability and the label's.

    Every row costs one regeneration, the least that any rule can cost, so that response times do not depend on
    membership. The price is utility: a row whose candidate changes the label is answered with the confidence that the
    classifier has in the other label. ``fallback`` has no effect under this rule.

    See Also
    --------
    FirstRule : Tries candidates until one keeps the label.

    Examples
    --------
    >>> from skdiffence.defenses import SwapRule
    >>> SwapRule().max_candidates
    1
    """

    max_candidates = 1
    relabels = True
    ends_early = False
