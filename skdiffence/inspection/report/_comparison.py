"""Audits of several classifiers in one report."""

import json
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from skdiffence.inspection.report._format import interval, percent
from skdiffence.inspection.report._html import comparison_html
from skdiffence.inspection.report._report import SCHEMA_VERSION, csv_text, written
from skdiffence.inspection.report._strongest import strongest_on
from skdiffence.utils._optional import import_optional

_HEADING = ["classifier", "how bad", "attacks on probabilities", "attacks on labels", "accuracy"]


@dataclass(frozen=True, eq=False, repr=False)
class AuditComparison:
    """Audits of several classifiers in one report: a table of all, and the report of each.

    Parameters
    ----------
    reports : dict of str to AuditReport
        By the name of the classifier. They are compared as they are: audit all classifiers on the same rows, with the
        same attacks.

    See Also
    --------
    audit : Audit one classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skdiffence.inspection import AuditComparison, audit
    >>> X, y = load_digits(return_X_y=True)
    >>> members, others = (X[:1200:6], y[:1200:6]), (X[3:1200:6], y[3:1200:6])
    >>> classifiers = {"forest": RandomForestClassifier(20, random_state=0), "bayes": GaussianNB()}
    >>> comparison = AuditComparison(
    ...     {
    ...         name: audit(classifier.fit(*members), members, others, attacks=["entropy"], random_state=0)
    ...         for name, classifier in classifiers.items()
    ...     }
    ... )
    >>> comparison.to_dict()["reports"]["forest"]["verdict"]["severity"]
    'severe'
    """

    reports: dict

    @property
    def failed_controls(self):
        """The controls that failed, of all reports."""
        return [control for report in self.reports.values() for control in report.failed_controls]

    def to_dict(self):
        """Return everything that was measured as plain values.

        Returns
        -------
        facts : dict
            ``schema_version``, and in ``reports`` by name what :meth:`AuditReport.to_dict` returns.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "reports": {name: report.to_dict() for name, report in self.reports.items()},
        }

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
        """Write one page that needs no other file and no network.

        Parameters
        ----------
        file : str or path, default=None
            Where to write. The file is replaced at once or not at all.

        Returns
        -------
        page : str or None
            The page if no file is given.
        """
        return written(comparison_html(self.reports, _HEADING, self._lines()), file)

    def to_csv(self, file=None):
        """Write one line for each classifier, attack and target as CSV, with the columns of :meth:`to_frame`.

        Parameters
        ----------
        file : str or path, default=None
            Where to write. The file is replaced at once or not at all.

        Returns
        -------
        text : str or None
            The CSV if no file is given. What could not be measured is empty.
        """
        records = [
            {"classifier": name, **record} for name, report in self.reports.items() for record in report._records()
        ]
        return written(csv_text(records), file)

    def to_frame(self):
        """Return one row for each classifier, attack and target.

        Needs pandas.

        Returns
        -------
        frame : pandas.DataFrame
            The frames of all reports with a column ``classifier``.
        """
        return self._joined("to_frame")

    def to_scores_frame(self):
        """Return the scores of each row, which tell who was in the training set.

        Needs pandas. Keep the frame like the training data, see :meth:`AuditReport.to_scores_frame`.

        Returns
        -------
        frame : pandas.DataFrame
            The frames of all reports with a column ``classifier``.
        """
        return self._joined("to_scores_frame")

    def __repr__(self):
        parts = [f"{name}\n{'=' * len(name)}\n{report}" for name, report in self.reports.items()]
        return "\n\n".join([tabulate(self._lines(), _HEADING, disable_numparse=True), *parts])

    def _joined(self, method):
        pandas = import_optional("pandas", extra="audit")
        frames = {name: getattr(report, method)() for name, report in self.reports.items()}
        return pandas.concat(frames, names=["classifier"]).reset_index("classifier").reset_index(drop=True)

    def _lines(self):
        """Return a line of the table for each report."""
        return [[name, *_cells(report)] for name, report in self.reports.items()]


def _cells(report):
    areas = [_area(report, kind) for kind in ("probabilities", "labels")]
    accuracy = report.targets["audited"].utility["non_members"]["accuracy"]
    return [report.verdict.severity, *areas, "not measured" if np.isnan(accuracy) else percent(accuracy)]


def _area(report, kind):
    attack = strongest_on(report, kind)
    return "not run" if attack is None else f"AUC {interval(attack.auc)}"
