"""One target of an audit: queried once, attacked, and compared with chance."""

from dataclasses import dataclass, replace

import numpy as np

from skdiffence._evaluation._measure import leak_beyond_labels, measure_attack, measure_utility, surely_identified
from skdiffence._evaluation._results import ChanceComparison, TargetResult, strongest
from skdiffence._evaluation._run_attack import QueriedTarget, query_target, run_attack
from skdiffence._evaluation._significance import compare_with_chance, undirected_signal
from skdiffence.metrics import epsilon_lower_bound
from skdiffence.utils._random import mix_seed


@dataclass(frozen=True)
class AuditedTarget:
    """A target with its answers, what attacks achieved, and their scores.

    Parameters
    ----------
    queried : QueriedTarget
        The target and its answers.
    result : TargetResult
        What attacks achieved.
    scores : dict of str to ndarray of shape (n_samples,)
        By attack.
    """

    queried: QueriedTarget
    result: TargetResult
    scores: dict


def audit_target(target, rows, attacks, settings, bar):
    """Ask a target about all rows, attack its answers and measure what they are worth.

    Parameters
    ----------
    target : classifier
        Fitted.
    rows : AttackedRows
        All rows.
    attacks : dict of str to MembershipAttack
        The attacks.
    settings : dict
        Settings of the audit.
    bar : tqdm
        Progress bar, moved on by one for each attack.

    Returns
    -------
    audited : AuditedTarget
    """
    queried = query_target(target, rows.X, rows.y, attacks.values())
    correct = None if rows.y is None else queried.answers.correct
    runs, results = {}, []
    for name, attack in attacks.items():
        bar.set_postfix_str(name)
        # The same seed for every target, so that they are attacked alike.
        seed = mix_seed(settings["seed"], "attack")
        runs[name] = run_attack(name, attack, queried, rows, known=settings["known"], seed=seed)
        results.append(_measure(runs[name], rows, correct, settings))
        bar.update()
    said = {name: run.said for name, run in runs.items()}
    signals = {name: undirected_signal(attack, queried.answers, rows.is_member) for name, attack in attacks.items()}
    everywhere, on_answers = np.ones(len(rows), dtype=bool), [each for each in results if not each.label_only]
    result = TargetResult(
        attacks=tuple(results),
        worst=_compared(results, "auc", everywhere, said, signals, rows, settings),
        beyond_labels=leak_beyond_labels(
            results, said, rows.is_member, confidence_level=settings["confidence_level"]
        ),
        among_correct=_compared(on_answers, "correct_auc", correct, said, signals, rows, settings),
        utility={
            "members": measure_utility(queried.answers.take(rows.is_member)),
            "non_members": measure_utility(queried.answers.take(~rows.is_member)),
        },
        rows_asked=queried.rows_queried,
        seconds_asked=queried.seconds,
        identified=surely_identified(said, signals, rows.is_member, settings["levels"]),
    )
    return AuditedTarget(queried, result, {name: each.scores for name, each in said.items()})


def _measure(run, rows, correct, settings):
    level = settings["confidence_level"]
    measured = measure_attack(
        run.name,
        run.said,
        rows.is_member,
        correct=correct,
        classes=rows.y,
        fpr_levels=settings["levels"],
        confidence_level=level,
    )
    return replace(
        measured,
        epsilon_lower_bound=_epsilon(run, rows, level, mix_seed(settings["seed"], "measure", run.name)),
        label_only=run.label_only,
        queries_per_row=float(run.queries_per_row),
        seconds=float(run.seconds),
    )


def _epsilon(run, rows, confidence_level, seed):
    """Return the higher of the bounds of the halves, each with half the error: within a half, rows are independent."""
    # The bound draws rows by their place. In the order of their digests, it does not depend on how they were passed.
    order = np.argsort(rows.keys, kind="stable")
    is_member, said = rows.is_member[order], run.said.take(order)
    each = {"confidence_level": (1 + confidence_level) / 2, "random_state": seed % 2**32}
    masks = [said.half == which for which in (0, 1)]
    return max(float(epsilon_lower_bound(is_member[mask], said.scores[mask], **each).epsilon) for mask in masks)


def _compared(results, figure, kept, said, signals, rows, settings):
    """Return the strongest of the attacks compared with as many random-guess attacks; None if none is measured."""
    best = strongest(results, figure)
    if best is None:
        return None
    names = [result.attack for result in results]
    chance = compare_with_chance(
        {name: said[name] for name in names},
        {name: signals[name] for name in names if signals[name] is not None},
        rows.is_member,
        kept,
        rows.keys,
        n_permutations=settings["n_permutations"],
        seed=mix_seed(settings["seed"], figure),
    )
    return ChanceComparison(best.attack, getattr(best, figure), len(results), *chance)
