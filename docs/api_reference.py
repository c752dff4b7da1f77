"""The API reference as data: ``conf.py`` writes its pages from this, and a test holds it complete.

Each section is (module, title, one sentence, names).
"""

SECTIONS = [
    (
        "skdiffence.defenses",
        "Defences",
        "Who answers: the defended classifier and the rules that select its answers.",
        [
            "DefendedClassifier",
            "FirstSelection",
            "IntervalRule",
            "MatchedSelection",
            "MembersSelection",
            "SelectionRule",
            "SwapSelection",
        ],
    ),
    (
        "skdiffence.diffusion",
        "Diffusion",
        "How an input is regenerated.",
        ["DiffusionRegenerator"],
    ),
    (
        "skdiffence.attacks",
        "Attacks",
        "Who attacks: estimators that learn from known rows to tell members from others.",
        [
            "Answers",
            "NonMonotoneAttack",
            "SingleQueryAttack",
            "ThresholdAttack",
            "get_attack",
            "get_attack_names",
            "lira_leave_one_out",
            "lira_scores",
            "query",
            "rmia_scores",
        ],
    ),
    (
        "skdiffence.metrics",
        "Metrics",
        "Membership signals, attack scores and their intervals, as functions of arrays.",
        [
            "accuracy_interval",
            "attack_accuracy_score",
            "auc_interval",
            "bootstrap_interval",
            "confidence_signal",
            "correctness_signal",
            "entropy_signal",
            "expected_calibration_error",
            "failure_detection_auc",
            "label_columns",
            "logit_signal",
            "loss_signal",
            "modified_entropy_signal",
            "tnr_at_fnr_score",
            "tpr_at_fpr_score",
            "wilson_interval",
        ],
    ),
    (
        "skdiffence.model_selection",
        "Model selection",
        "Attacks inside cross-validation and search.",
        ["AttackScorer"],
    ),
    (
        "skdiffence.datasets",
        "Datasets",
        "Small real images that ship with the dependencies, and partitions into members and non-members.",
        ["load_digit_images", "load_images", "membership_partition"],
    ),
    (
        "skdiffence.base",
        "Base classes",
        "What to inherit from: transformers that act at inference only, and attacks.",
        ["InferenceOnly", "InferenceOnlyMixin", "MembershipAttack", "is_inference_only"],
    ),
    (
        "skdiffence.exceptions",
        "Warnings",
        "Each is about something that would make a figure or an answer untrustworthy.",
        ["DefenceWarning", "MembershipWarning", "RangeWarning"],
    ),
]
