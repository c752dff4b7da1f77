"""The demo's comparison over many splits and denoisers, with what a conclusion needs: paired differences.

    python benchmarks/digits.py --splits 20 --output benchmarks/results

Every figure is a mean over splits with half of its 95 % interval; splits share 1,097 private rows, so that intervals
over them are somewhat too narrow. Half of the splits use a second denoiser, trained on other public rows.
"""

from dataclasses import asdict, replace

from _common import make_parser, save

from skdiffence._demo._demo import run_demo
from skdiffence._demo._digits import DemoSettings
from skdiffence._demo._results import explain, paired_difference, removed_share, write_table
from skdiffence._demo._split import RULES, UNDEFENDED
from skdiffence._demo._table import mean_and_margin


def main():
    """Run the comparison and print it."""
    options = make_parser(__doc__, splits=20, seed=100).parse_args()
    noise = (80, 120, 160, 200, 240)
    settings = replace(DemoSettings(), n_splits=options.splits // 2, noise_timesteps=noise)
    records = []
    for seed in (options.seed, options.seed + 1):
        records += run_demo(settings, options.output / f"digits-{seed}", seed=seed).records
    whole = replace(settings, n_splits=2 * settings.n_splits)
    print(write_table(records, whole))
    print(f"\n{explain(records, whole)}\n")
    for name in (*RULES, *(f"plain noise, t={t}" for t in noise), "untrained denoiser"):
        report(records, name)
    save(options, "digits.json", settings=asdict(whole), records=records)


def report(records, name):
    """Print what a defense removes and what it costs against no defense."""
    entropy = removed_share(records, name, "entropy_roc_auc")
    beyond, beyond_margin = mean_and_margin([r["leak_beyond_labels"] for r in records if r["name"] == name])
    nll, nll_margin = paired_difference(records, name, UNDEFENDED, "nll")
    auc, auc_margin = paired_difference(records, name, UNDEFENDED, "entropy_roc_auc")
    level, _ = mean_and_margin([record["nll"] for record in records if record["name"] == name])
    print(
        f"{name:20} removes {entropy:5.0%} of entropy's excess over 0.5; "
        f"beyond labels {beyond:+.3f}±{beyond_margin:.3f}; "
        f"entropy AUC {auc:+.3f}±{auc_margin:.3f}; NLL {level:.3f} ({nll:+.3f}±{nll_margin:.3f})"
    )


if __name__ == "__main__":
    main()
