"""The report of an audit: as text, JSON, CSV, frame and page."""

import importlib
import json
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import skdiffence
from skdiffence._evaluation._results import NOT_MEASURED, Estimate
from skdiffence.inspection import AuditComparison, audit
from skdiffence.inspection._audit_defense import defense_facts
from skdiffence.inspection.report import _html
from skdiffence.inspection.report._format import number, of_100, percent, words
from skdiffence.inspection.report._sections import png_uri
from skdiffence.inspection.report._sentences import defense_sentences, row_sentences, untested
from skdiffence.inspection.report._verdict import CONTROLS
from tests.attacks.targets import Dictated, normal, planted
from tests.defenses.cases import fitted
from tests.inspection.audit_cases import FAST, Repeated, sides

EVIL = '<script>alert("1")</script> $x^2$'
VOID = {"img", "meta"}


def evil_sides():
    """Return a target whose class names are an attack on the reader, members and non-members."""
    X, y, is_member = planted(normal(1.5), normal(0.0), n=240)
    names = np.array([EVIL, "b&b", "c"])
    return Dictated(tuple(names)).fit(), (X[is_member], names[y][is_member]), (X[~is_member], names[y][~is_member])


@pytest.fixture(scope="module")
def report():
    """An audit beside an undefended target, with an attack whose name is neither HTML nor mathematics."""
    target, members, others = evil_sides()
    attacks = [*FAST, (EVIL, Repeated())]
    return audit(
        target, members, others, attacks=attacks, undefended=target, n_permutations=100, random_state=0
    )


@pytest.fixture(scope="module")
def failed(report):
    """The same with a control that failed."""
    null = replace(report.controls["null"], holds=False, why="something was told apart")
    return replace(report, controls=report.controls | {"null": null})


class Page(HTMLParser):
    """Collects what a page loads and checks that its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.tags, self.text = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        """Note the element and what it loads."""
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note an element that closes itself, as those of figures may."""
        assert "svg" in self.open
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        """Close it."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep what is read, but for the style sheet."""
        if "style" not in self.open:
            self.text.append(data)


def test_page_needs_no_other_file(report):
    """No script, nothing loaded but images written in the address itself; well-formed."""
    shown = {"images": np.zeros((2, 3, 4, 4), np.uint8), "labels": [EVIL, "b"]}
    text = replace(report, shown=shown).to_html()
    page = Page(text)
    loaded = {address.partition(",")[0] for address in page.loads if not address.startswith("#")}
    assert loaded == {"data:image/png;base64"}
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    assert page.tags.count("svg") == 3


def test_page_escapes_what_it_was_given(report):
    """Names of attacks and classes are shown as they are, and never run."""
    for text in (report.to_html(), report._repr_html_()):
        assert EVIL not in text
        assert EVIL in "".join(Page(text).text)
    assert "b&amp;b" in report.to_html()


def test_page_begins_with_what_was_audited_and_the_verdict(report, failed):
    """Before any table or figure; a failed control before all other findings."""
    for each in (report, failed):
        text = each.to_html()
        body = text[text.index("<body") :]
        head = "120 members of the training set and 120 non-members; 3 features, 3 classes"
        places = [body.index(part) for part in ("Dictated", head, 'class="verdict', "<table", "<svg")]
        assert places == sorted(places)
        lines = repr(each).splitlines()
        assert lines[0] == "Model: Dictated" and head in lines[1] and "UTC" in lines[2]
        assert lines.index(each.verdict.headline) < 6
    assert failed.verdict.status == "invalid"
    assert "something was told apart" in failed.verdict.sentences[0]
    assert failed.to_html().index("something was told apart") < failed.to_html().index("Attacks on probabilities")
    assert failed._repr_html_().count("verdict invalid") == 1


def test_subject_comes_first(report):
    """The user's own name of model and data."""
    named = replace(report, settings=report.settings | {"subject": EVIL})
    assert repr(named).startswith(f"Subject: {EVIL}")
    assert EVIL not in named.to_html() and EVIL in "".join(Page(named.to_html()).text)


def test_controls_stand_below_the_verdict(report):
    """Where the guide says that they stand: they decide whether the figures can be trusted."""
    titles = re.findall("<h2>([^<]*)", report.to_html())
    assert titles[:3] == ["Controls", "Figures behind the verdict", "Attacks"]


def test_page_holds_the_figures(report):
    """The AUC of each attack with its interval, what was not tested, and the seed."""
    text = "".join(Page(report.to_html()).text)
    for attack in report.targets["audited"].attacks:
        assert f"{attack.auc.value:.3f} [{attack.auc.low:.3f}, {attack.auc.high:.3f}]" in text
    for sentence in untested(report):
        assert sentence in text
    assert "noise" in text  # rates below ten non-members are never bare
    assert f"seed {report.settings['seed']}" in text


def test_page_marks_the_strongest_attacks_and_failed_controls(failed):
    """Of each target, and no others."""
    marked = re.findall(r'<tr class="mark"><td[^>]*>([^<]*)', failed.to_html())
    strongest = [target.worst.attack for target in failed.targets.values()]
    controls = [CONTROLS[control.name] for control in failed.failed_controls]
    assert [unescape(cell) for cell in marked] == controls + strongest


def test_compact_page_is_closed(report):
    """What a notebook shows: the verdict and a table for each target."""
    page = Page(report._repr_html_())
    assert page.tags.count("table") == 2
    assert page.tags.count("svg") == 0


def test_json_is_strict_and_plain(report, tmp_path):
    """It is read back without NaN, is the same in a file, and holds no score of a row."""
    facts = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert facts == report.to_dict()
    assert facts["schema_version"] == 1
    report.to_json(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == facts
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert "scores" not in facts and "is_member" not in facts


NAMED = {"controls", "attacks", "by_class", "rows_asked", "attack_facts", "versions"}


def keys_of(value, path=""):
    """Yield the paths of all entries of a report's JSON, as the guide writes them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            last = path.rpartition(".")[2]
            yield from keys_of(item, f"{path}.{'NAME' if last in NAMED else key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from keys_of(value[0], f"{path}[]")
    else:
        yield path


def test_schema_is_documented(report):
    """Every key is in the guide, and the guide has no key that is not there."""
    guide = (Path(skdiffence.__file__).parents[1] / "docs" / "auditing.rst").read_text(encoding="utf-8")
    guide = guide[guide.index("The JSON file") : guide.index("Attacks that know more")]
    cells = re.findall(r"   \* - (.*?)\n     - ", guide, flags=re.DOTALL)
    documented = {key for cell in cells for key in re.findall("``([^`]*)``", cell)}
    written = {key.replace("targets.undefended", "targets.audited") for key in keys_of(report.to_dict())}

    def covers(key, path):
        return path == key or path.startswith((f"{key}.", f"{key}["))

    assert len(documented) > 50
    # An entry may stand for all below it, but not for the list of attacks.
    whole = documented - {"targets.audited", "targets.undefended"}
    assert {path for path in written if not any(covers(key, path) for key in whole)} == set()
    assert {key for key in whole if not any(covers(key, path) for path in written)} == set()


def test_numbers_that_are_not_known_are_null(report):
    """NaN and infinities have no JSON."""
    target = report.targets["audited"]
    attack = replace(target.attacks[0], correct_roc_auc=NOT_MEASURED, epsilon_lower_bound=np.float64("inf"))
    targets = report.targets | {"audited": replace(target, attacks=(attack, *target.attacks[1:]))}
    written = json.loads(replace(report, targets=targets).to_json())["targets"]["audited"]["attacks"][0]
    assert written["correct_auc"] is None and written["epsilon_lower_bound"] is None


def test_file_is_whole_or_not_there(report, tmp_path, monkeypatch):
    """An error while writing leaves the old file and nothing half-written."""
    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("pathlib.Path.write_text", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.to_html(tmp_path / "report.html")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_frame_has_a_row_for_each_attack_and_target(report):
    """With the numbers of the records, rates by level."""
    frame = report.to_frame()
    assert list(frame["target"]) == ["audited"] * 3 + ["undefended"] * 3
    assert frame["auc"].tolist()[:3] == [attack.auc.value for attack in report.targets["audited"].attacks]
    assert not frame["tpr_at_fpr_0.01_is_reliable"].any()
    assert frame["tpr_at_fpr_0.1_is_reliable"].all()
    assert not any(frame[column].map(lambda cell: isinstance(cell, (dict, list))).any() for column in frame)


def test_csv_is_the_frame_without_pandas(report, monkeypatch):
    """The same cells as pandas would write; NaN is empty."""
    comparison = AuditComparison({"a": report, "b": report})
    frames = [each.to_frame().to_csv(index=False) for each in (report, comparison)]
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert [each.to_csv() for each in (report, comparison)] == frames


def test_text_lists_every_attack(report):
    """One line an attack and target; the floor and rates that are noise are marked."""
    text = repr(report)
    table = text[text.index("target") :].splitlines()
    assert len(table) == 2 + 6
    assert sum("floor" in line for line in table) == 2
    at_noise = replace(report, settings=report.settings | {"max_fpr": 0.01})
    assert ": noise)" in repr(at_noise)
    assert "the figure is noise" in repr(at_noise)


def test_what_was_tested_is_not_called_untested(report):
    """A sentence goes when an attack of its kind was run."""
    open_questions = untested(report)
    ran = {
        "a": {"family": "shadow", "uses": "proba", "needs_shadows": True},
        "b": {"family": "adaptive", "uses": "proba", "needs_shadows": False},
        "c": {"family": "adaptive", "uses": "cost", "needs_shadows": False},
    }
    fewer = untested(replace(report, settings=report.settings | {"attack_facts": ran}))
    assert len(fewer) == len(open_questions) - 3
    assert not any("LiRA" in text for text in fewer)


@pytest.mark.parametrize(
    ("selection", "search", "tells"),
    [
        ("first", "lazy", True),
        ("first", "constant", False),
        ("lowest", "lazy", False),
        ("mean", "lazy", False),
        ("swap", "lazy", False),
    ],
)
def test_response_times_are_named_where_they_depend_on_the_row(report, selection, search, tells):
    """A rule that takes as many candidates for every row gives nothing away by its time."""
    defended, _, _ = fitted("neighbors", selection=selection, search=search)
    sentences = defense_sentences(replace(report, defense=defense_facts(defended)))
    assert any("reveals membership" in sentence for sentence in sentences) == tells


@pytest.mark.parametrize(("n", "said"), [(1, ["1 row that", "1 row with", "equals"]), (2, ["2 rows that", "equal "])])
def test_one_row_is_not_called_rows(n, said):
    """One was left out, two were."""
    counts = ("held_out_or_calibrated_left_out", "duplicates_left_out", "near_duplicates")
    first, *others = row_sentences({"n_members": 1, "n_non_members": 2} | dict.fromkeys(counts, n))
    assert first == "1 member and 2 non-members were attacked."
    text = " ".join(others)
    assert all(part in text for part in said)
    assert text.count(" was left out." if n == 1 else " were left out.") == 2


def test_plot_draws_the_audited_attacks(report):
    """One curve for each attack, with the report's areas, intervals and confidence level."""
    from matplotlib import pyplot

    display = replace(report, settings=report.settings | {"confidence_level": 0.8}).plot()
    attacks = report.targets["audited"].attacks
    assert display.roc_auc == [attack.auc.value for attack in attacks]
    assert display.roc_auc_interval == [(attack.auc.low, attack.auc.high) for attack in attacks]
    raw = [roc_auc_score(report.is_member, report.scores["audited"][attack.attack]) for attack in attacks]
    np.testing.assert_allclose(display.roc_auc, [max(area, 1 - area) for area in raw])
    assert display.confidence_level == 0.8
    pyplot.close(display.figure_)


def test_figure_has_the_areas_of_the_tables(report):
    """The legend had intervals of its own, and areas below a half of attacks that the tables turn around."""
    target = report.targets["audited"]
    first, *others = target.attacks
    attacks = (replace(first, roc_auc=Estimate(0.125, 0.0625, 0.25)), *others)
    assert first.attack == "correctness" == report.floor.attack
    page = replace(report, targets=report.targets | {"audited": replace(target, attacks=attacks)}).to_html()
    assert "correctness of the label, the floor, area reversed: AUC 0.88 (0.75 to 0.94)" in page
    legend = re.findall(r">([^<>]*, with the defense): AUC ([^<>]*)<", page)
    assert legend
    for name, text in legend:
        (auc,) = [attack.auc for attack in attacks if words(attack.attack) == unescape(name.rpartition(",")[0])]
        assert text == f"{auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (1e-7, "0.00001 %"),
        (0.0004, "0.04 %"),
        (0.000456, "0.046 %"),
        (0.001, "0.1 %"),
        (0.00996, "1.0 %"),
        (0.051, "5.1 %"),
        (0.5, "50 %"),
        (0.99, "99 %"),
        (0.9901, "99.0 %"),
        (0.997, "99.7 %"),
        (0.99996, "99.9 %"),
        (1.0, "100 %"),
        (np.nan, "nan %"),
    ],
)
def test_percentages(value, text):
    """Decimals where a whole number would hide the size, or that it is not all."""
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0, "0.000"), (-1e-9, "0.000"), (-0.25, "-0.250"), (0.0, "0.000"), (np.nan, "-")]
)
def test_zero_has_no_sign(value, text):
    """The log-loss of a classifier that is always right and certain was -0.000."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50"), (0.9949, "99"), (0.995, "more than 99"), (0.9999, "more than 99"), (1.0, "100")]
)
def test_nearly_all_is_not_all(value, text):
    """An attack that errs in one of 500 cases read as one that never does."""
    assert of_100(value) == f"{text} of 100"


# --- figures -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures(report):
    """The elements of the page's figures, as any reader of XML sees them."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", report.to_html(), flags=re.DOTALL)]


def test_figures_show_what_the_displays_draw(report, figures):
    """Attacks beside the floor, ROC curves and phi; text stays text, and names are shown as they are."""
    texts = [[element.text for element in figure.iter("text")] for figure in figures]
    attacks, roc, phi = texts
    assert attacks[-2:] == ["with the defense", "without the defense"]
    assert {"correctness of the label", "entropy", EVIL} <= set(attacks)
    for name in ("entropy, with the defense", "entropy, without the defense", "correctness of the label, the floor"):
        assert any(text.startswith(f"{name}: AUC") for text in roc)
    assert {"0.1", "1", "false positive rate"} <= set(roc)
    assert {"without the defense", "with the defense", "members", "non-members"} <= set(phi)
    assert all(figure.find("title").text for figure in figures)


def test_figures_take_the_colors_of_the_page(figures):
    """Every color is one of the style sheet, which knows a light and a dark one."""
    style = (Path(_html.__file__).parent / "report.css").read_text()
    for figure in figures:
        given = " ".join(element.attrib.get("style", "") for element in figure.iter())
        assert not re.search("#[0-9a-f]{6}", given)
        for name in set(re.findall(r"var\((--\w+)\)", given)):
            assert style.count(f"{name}:") >= 2, name


def test_figures_ignore_the_reader_s_style(report):
    """A dark style or a font of matplotlib's settings changes nothing."""
    matplotlib = pytest.importorskip("matplotlib")
    plain = report.to_html()
    with matplotlib.rc_context({"axes.facecolor": "black", "text.color": "white", "font.size": 20}):
        assert report.to_html() == plain


def test_page_without_matplotlib_says_what_to_install(report, monkeypatch):
    """In the place of each figure; all else is there."""
    real = importlib.import_module

    def missing(module, *args):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *args)

    monkeypatch.setattr("skdiffence.utils._optional.importlib.import_module", missing)
    text = Page(report.to_html())
    assert text.tags.count("svg") == 0
    assert "".join(text.text).count("pip install 'skdiffence[plot]'") == 3
    assert text.tags.count("table") > 5


def test_templates_are_installed(monkeypatch):
    """Every file of the package that is no module is in the wheel and in the source archive."""
    given = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    root = Path(skdiffence.__file__).parent
    runpy.run_path(root.parent / "setup.py")
    files = [path for path in root.rglob("*.*") if path.suffix not in (".py", ".pyc")]
    assert {path.suffix for path in files} == {".css", ".jinja"}
    for path in files:
        package = ".".join(path.parent.relative_to(root.parent).parts)
        assert any(path.match(pattern) for pattern in given["package_data"][package]), path
        assert f"*{path.suffix}" in (root.parent / "MANIFEST.in").read_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_read_back(channels):
    """By another library, pixel for pixel."""
    pixels = np.random.default_rng(0).integers(256, size=(channels, 5, 7), dtype=np.uint8)
    with urlopen(png_uri(pixels)) as opened:
        image = np.asarray(Image.open(BytesIO(opened.read())))
    np.testing.assert_array_equal(image.reshape(5, 7, channels), np.moveaxis(pixels, 0, -1))


def test_null_report_reads_as_chance():
    """Whoever reads it is told what the rows could not rule out."""
    found = audit(*sides(normal(0.0), normal(0.0), n=240, seed=3), attacks=FAST, n_permutations=100, random_state=0)
    assert found.verdict.headline == "No leak was found with these attacks on these rows."
    assert 'class="verdict none-found"' in found.to_html()
