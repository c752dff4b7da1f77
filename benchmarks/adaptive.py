"""The gain of attackers who know of the defense over one query, on digits.

    python benchmarks/adaptive.py --splits 6 --n-candidates 5

All of them query the defended classifier. Attacks that measure one number are told that members are answered with more
confidence, and sooner; those that learn more ("non-mono.", "surrogate", "fallback") know half of the rows and score the
other half, and the other way round. AUC as a mean over splits with half of its 95 % interval, and below it the paired
difference from one query.

The attacker has the defense's denoiser, which is public and was trained on other rows, a key of its own, and for
"fallback" the bare classifier. Members that "matched" was calibrated on are not scored in its row.
"""

import time
from dataclasses import replace

import numpy as np
from _common import kept_denoiser, make_parser
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import DemoSettings, draw_digits, pretrained, split_digits
from skdiffence._demo._engine import attack_scores, row_digests
from skdiffence._demo._record import save_json
from skdiffence._demo._table import format_means
from skdiffence.attacks import (
    AnswerCostAttack,
    FallbackAttack,
    PrecompensatedQueryAttack,
    RepeatedQueryAttack,
    ThresholdAttack,
    attacks_on_regeneration,
)
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator

N_NON_MEMBERS = 150
ONE = "one query"
# Noise that is drawn anew can't be cached, so only what it is there to show is run against it.
AGAINST_FRESH = (ONE, "repeated_exact", "precompensated_8")
AGAINST_FALLBACK = (ONE, "non_monotone", "precompensated_8", "answer_cost", "fallback")
HEADINGS = {
    ONE: "one query",
    "non_monotone": "non-mono.",
    "repeated_exact": "exact x8",
    "repeated_ulp": "ulp x8",
    "repeated_quantum": "quantum x8",
    "repeated_gray": "gray x8",
    "precompensated_1": "precomp. x1",
    "precompensated_8": "precomp. x8",
    "surrogate": "surrogate",
    "answer_cost": "cost",
    "fallback": "fallback",
}


def cached(denoiser, timestep, X, seed):
    """Return a fitted regenerator with a key of its own that regenerates no row twice."""
    return FrozenEstimator(RegenerationCache(pretrained(denoiser, timestep, X, seed)).fit(X))


def make_defenses(split, denoiser, timestep, n_candidates):
    """Return what is attacked, by the name of its row, with the names of the attacks to run (None: all)."""
    shared = cached(denoiser, timestep, split.X_fit, 2 * split.seed)
    fresh = DiffusionRegenerator(denoiser, timestep=timestep, value_range=(0, 1), noise="fresh").fit(split.X_fit)
    original = DefendedClassifier(
        FrozenEstimator(split.net),
        shared,
        n_candidates=n_candidates,
        selection="first",
        fallback="original",
        random_state=split.seed,
    )
    return {
        "undefended": (split.net, None),
        "swap": (split.defend(shared, "swap"), None),
        "first": (split.defend(shared, "first"), None),
        "matched": (split.defend(shared, "matched"), None),
        "first, fallback original": (
            original.fit(split.X_fit, split.y_fit, is_member=split.is_member),
            AGAINST_FALLBACK,
        ),
        "swap, fresh noise": (split.defend(FrozenEstimator(fresh), "swap"), AGAINST_FRESH),
    }


def auc_of(attack, target, X, y, is_member, seed):
    """Return the area under an attack's curve, on rows of which it knows no more than the direction."""
    if isinstance(attack, (AnswerCostAttack, PrecompensatedQueryAttack, RepeatedQueryAttack, ThresholdAttack)):
        attack.fit(target, X, y, is_member)
        measured = attack.direction_ * attack.score_samples(X, y)
        return roc_auc_score(is_member, -measured if isinstance(attack, AnswerCostAttack) else measured)
    keys = row_digests(X, seed.to_bytes(8, "little"))
    return roc_auc_score(is_member, attack_scores(attack, target, X, y, is_member, seed=seed, keys=keys))


def attack_all(split, defenses, attacker):
    """Return a record for each defense: the AUC of every attack."""
    X = np.concatenate((split.X_fit[split.is_member], split.X_rest[:N_NON_MEMBERS]))
    y = np.concatenate((split.y_fit[split.is_member], split.y_rest[:N_NON_MEMBERS]))
    is_member = np.arange(len(y)) < split.is_member.sum()
    records = []
    for name, (target, wanted) in defenses.items():
        attacks = {ONE: ThresholdAttack("logit"), "fallback": FallbackAttack(FrozenEstimator(split.net))}
        attacks |= attacks_on_regeneration(attacker, target=target, random_state=split.seed)
        scored = ~target.calibrated_on_.contains(X) if name == "matched" else slice(None)
        rows = X[scored], y[scored], is_member[scored]
        areas = {each: auc_of(attacks[each], target, *rows, split.seed) for each in wanted or attacks}
        records.append({"name": name, **areas})
    return records


def main():
    """Run the comparison and print it."""
    parser = make_parser(__doc__, splits=6, seed=300)
    parser.add_argument("--n-candidates", type=int, default=5)
    options = parser.parse_args()
    settings = replace(DemoSettings(), n_candidates=options.n_candidates)
    folder = options.output / f"adaptive-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    digits = draw_digits(settings, options.seed)
    denoiser = kept_denoiser(settings, digits, folder, options.seed)
    records, start = [], time.perf_counter()
    for number in range(options.splits):
        split = split_digits(settings, digits, options.seed + number)
        attacker = cached(denoiser, settings.timestep, split.X_fit, 2 * split.seed + 1)
        defenses = make_defenses(split, denoiser, settings.timestep, options.n_candidates)
        records += attack_all(split, defenses, attacker)
        print(f"split {number + 1} of {options.splits}: {time.perf_counter() - start:.0f} s", flush=True)
        # After each split, so that an interrupted run leaves what it has measured.
        save_json(folder / "records.json", {"options": vars(options), "records": records})
    report(records)


def report(records):
    """Print the table of areas, and that of paired differences from one query."""
    columns = [(key, heading, 3) for key, heading in HEADINGS.items()]
    print(format_means(records, columns, "AUC"))
    gains = [
        {key: value if key == "name" else value - record[ONE] for key, value in record.items()} for record in records
    ]
    print()
    print(format_means(gains, columns[1:], "gain over one query"))


if __name__ == "__main__":
    main()
