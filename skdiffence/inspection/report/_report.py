"""The report of an audit: as text, HTML, JSON, CSV, data frame and plot."""

import csv
import io
import json
import math
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from skdiffence.inspection.report._figures import roc_display
from skdiffence.inspection.report._format import queries
from skdiffence.inspection.report._html import notebook_html, page_html
from skdiffence.inspection.report._sections import attack_heading, attack_line
from skdiffence.inspection.report._sentences import subject
from skdiffence.inspection.report._verdict import verdict
from skdiffence.utils._files import whole_file
from skdiffence.utils._optional import import_optional

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class AuditReport:
    """What an audit measured.

    Made by :func:`audit`. It holds scores and signals of rows, but no row unless ``show_rows`` was set.

    Parameters
    ----------
    targets : dict of str to TargetResult
        By name, "audited" and, if there is one, "undefended". Each has ``attacks``, the results of all attacks;
        ``worst``, the strongest of them compared with as many random-guess attacks; ``floor``, the strongest attack
        that sees labels only; ``beyond_labels``, by how much the strongest other attack exceeds the floor;
        ``among_correct``, the strongest other attack among correctly labeled rows, compared with random guesses;
        ``utility`` for members and non-members; ``rows_asked``, by method, and ``seconds_asked``; ``identified``, the
        attacks that identify members with certainty at a low false positive rate.
    controls : dict of str to ControlResult
        "null", "positive" and "blind". Each has ``holds``, None if it was not run; ``why``; and ``attacks``.
    rows : dict of str to int or None
        Numbers of rows given, left out and attacked.
    defense : dict
        What the defense tells of itself, and the number of labels that it changed.
    settings : dict
        Attacks, levels, seed, versions and time.
    notes : list of str
        Reasons to doubt memberships or labels.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    place : ndarray of shape (n_samples,), dtype int
        Position of each row among the members or non-members that were given.
    scores : dict of str to dict of str to ndarray of shape (n_samples,)
        Scores of all rows, by target and attack; higher for likelier members.
    phi : dict of str to ndarray of shape (n_samples,)
        Logit of the probability of the answered label, by target.
    shown : dict or None, default=None
        ``images`` of members and their ``labels``, if ``show_rows`` was set.

    See Also
    --------
    audit : Run an audit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.datasets import membership_partition
    >>> from skdiffence.inspection import audit
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = membership_partition(len(y), {"members": 200, "others": 200}, random_state=0)
    >>> members, others = ((X[rows], y[rows]) for rows in (parts.members, parts.others))
    >>> forest = RandomForestClassifier(20, random_state=0).fit(*members)
    >>> report = audit(forest, members, others, attacks=["entropy"], random_state=0)
    >>> report.verdict.headline
    'The answers reveal who was in the training set.'
    >>> report.to_dict()["rows"]["n_members"]
    200
    """

    targets: dict
    controls: dict
    rows: dict
    defense: dict
    settings: dict
    notes: list
    is_member: np.ndarray
    place: np.ndarray
    scores: dict
    phi: dict
    shown: dict = None

    @property
    def worst(self):
        """The strongest attack on the audited classifier, compared with as many random-guess attacks."""
        return self.targets["audited"].worst

    @property
    def floor(self):
        """The result of the strongest attack that sees labels only, None if none was run."""
        return self.targets["audited"].floor

    @property
    def failed_controls(self):
        """The controls that failed."""
        return [control for control in self.controls.values() if control.holds is False]

    @property
    def verdict(self):
        """The verdict: ``status``, ``severity``, ``headline``, ``next_step``, ``sentences`` and ``statistics``."""
        return verdict(self)

    def to_dict(self):
        """Return everything that was measured as plain values.

        Returns
        -------
        facts : dict
            Strings, booleans, integers, floats, None for NaN and infinities, lists and dicts. Scores of rows are not
            included.
        """
        found = self.verdict
        return _plain(
            {
                "schema_version": SCHEMA_VERSION,
                "verdict": vars(found),
                "controls": {name: control.to_dict() for name, control in self.controls.items()},
                "targets": {name: target.to_dict() for name, target in self.targets.items()},
                "rows": self.rows,
                "defense": self.defense,
                "notes": self.notes,
                "settings": self.settings,
            }
        )

    def to_json(self, file=None):
        """Write everything that was measured as JSON.

        Parameters
        ----------
        file : str or path, default=None
            Where to write. The file is replaced at once or not at all.

        Returns
        -------
        text : str or None
            The JSON if no file is given.
        """
        return written(json.dumps(self.to_dict(), indent=1, allow_nan=False), file)

    def to_html(self, file=None):
        """Write the report as one page that needs no other file and no network.

        Parameters
        ----------
        file : str or path, default=None
            Where to write. The file is replaced at once or not at all.

        Returns
        -------
        page : str or None
            The page if no file is given.
        """
        return written(page_html(self), file)

    def to_csv(self, file=None):
        """Write one line for each attack and target as CSV, with the columns of :meth:`to_frame`.

        Parameters
        ----------
        file : str or path, default=None
            Where to write. The file is replaced at once or not at all.

        Returns
        -------
        text : str or None
            The CSV if no file is given. What could not be measured is empty.
        """
        return written(csv_text(self._records()), file)

    def to_frame(self):
        """Return one row for each attack and target.

        Needs pandas.

        Returns
        -------
        frame : pandas.DataFrame
            Figures with ``_low`` and ``_high``; rates at all levels as ``tpr_at_fpr_0.01`` and the like, with
            ``_is_reliable``.
        """
        return import_optional("pandas", extra="audit").DataFrame(self._records())

    def to_scores_frame(self):
        """Return the scores of each row, which tell who was in the training set.

        Needs pandas. Keep the frame like the training data: it holds the membership of each row, and a good attack's
        scores tell it as well.

        Returns
        -------
        frame : pandas.DataFrame
            One line for each attacked row: ``side``, "member" or "non-member"; ``row``, its position among the rows
            of that side that were given; and by attack its score, higher for likelier members, with the prefix
            ``undefended_`` for those of the classifier without its defense.
        """
        pandas = import_optional("pandas", extra="audit")
        prefixes = {name: "" if name == "audited" else f"{name}_" for name in self.scores}
        scores = {prefixes[name] + attack: each for name, by in self.scores.items() for attack, each in by.items()}
        side = np.where(self.is_member, "member", "non-member")
        return pandas.DataFrame({"side": side, "row": self.place, **scores})

    def plot(self, ax=None):
        """Draw the ROC curves of the audited classifier's attacks on logarithmic axes.

        Needs matplotlib. Areas, intervals and their confidence level are those of the report.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on. None makes a new figure.

        Returns
        -------
        display : MembershipRocDisplay
        """
        curves = {attack.attack: ("audited", attack) for attack in self.targets["audited"].attacks}
        return roc_display(self, curves).plot(ax)

    def _records(self):
        """Return a flat dict for each attack and target."""
        return [
            {"target": name, **_flat(record)}
            for name, target in self.targets.items()
            for record in target.to_dict()["attacks"]
        ]

    def _repr_html_(self):
        return notebook_html(self)

    def __repr__(self):
        found = self.verdict
        lines = [
            [name, *attack_line(self, target, attack), queries(attack)]
            for name, target in self.targets.items()
            for attack in target.attacks
        ]
        table = tabulate(lines, ["target", *attack_heading(self), "queries"], disable_numparse=True)
        summary, figures = ([f"- {sentence}" for sentence in part] for part in (found.sentences, found.statistics))
        header = [f"{name}: {text}" for name, text in subject(self.settings, self.rows)]
        return "\n".join([*header, "", found.headline, *summary, "", "Figures behind the verdict", *figures, "", table])


def _plain(value):
    """Return a value in the types of JSON; NaN and infinities are None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(record):
    flat = {key: value for key, value in record.items() if key not in ("tpr_at_fpr", "by_class")}
    for point in record["tpr_at_fpr"]:
        name = f"tpr_at_fpr_{point['max_fpr']:g}"
        ends = {"": "tpr", "_low": "tpr_low", "_high": "tpr_high", "_achieved_fpr": "fpr"}
        flat |= {name + end: point[key] for end, key in ends.items()}
        flat[f"{name}_is_reliable"] = point["is_reliable"]
    return flat


def csv_text(records):
    """Return flat dicts as CSV: a line for each, and a column for each key; NaN and infinities are empty."""
    table = io.StringIO()
    columns = dict.fromkeys(key for record in records for key in record)
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(record) for record in records)
    return table.getvalue()


def written(text, file):
    """Write a text to a file, whole or not at all; return it if no file is given."""
    if file is None:
        return text
    with whole_file(file) as path:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return None
