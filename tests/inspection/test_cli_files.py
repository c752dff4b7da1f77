"""Rows from tables: what reaches the model, and what a person is told who forgot something."""

import json
import shutil
import sys
import warnings

import joblib
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence.__main__ import main
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection._cli_files import CommandError, load_sides

pandas = pytest.importorskip("pandas")


class Named:
    """A model as far as its columns and classes go."""

    def __init__(self, names=None, classes=(0, 1)):
        self.classes_ = np.array(classes)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)


def people(n, seed):
    """Return a table of people with codes, numbers and an identifier."""
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "id": np.arange(n) + 1000 * seed,
            "town": rng.choice(["Ulm", "Bonn", "Köln"], n),
            "age": rng.integers(20, 80, n),
            "income": rng.normal(size=n).round(3),
            "defaulted": rng.integers(0, 2, n),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tables of both sides, and a pipeline that was trained on columns by name."""
    folder = tmp_path_factory.mktemp("tables")
    for seed, name in ((1, "members"), (2, "others")):
        people(90, seed).to_csv(folder / f"{name}.csv", index=False)
    frame = pandas.read_csv(folder / "members.csv")
    encode = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    model = make_pipeline(encode, RandomForestClassifier(10, random_state=0))
    model.fit(frame[["town", "age", "income"]], frame["defaulted"])
    joblib.dump(model, folder / "m.joblib")
    return folder


def command(folder, *more):
    """Return the arguments of an audit of tables."""
    paths = [str(folder / name) for name in ("m.joblib", "members.csv", "others.csv", "out")]
    given = ["audit", paths[0], "--members", paths[1], "--non-members", paths[2], "--output", paths[3]]
    return [*given, "--attacks", "entropy", "correctness", *more]


def written(tmp_path, *texts, suffix=".csv"):
    """Write texts to files and return their paths."""
    paths = [tmp_path / f"{number}{suffix}" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


def test_pipeline_with_columns_by_name(folder):
    """A model behind a ColumnTransformer; the identifier that it never saw is left out."""
    assert main(command(folder, "--label", "defaulted")) == 0
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["rows"]["n_members"] == report["rows"]["n_non_members"] == 90
    assert report["targets"]["audited"]["worst"]["auc"] > 0.7


def test_table_without_label(folder, capsys):
    """NumPy called a CSV pickled data and advised to trust it."""
    assert main(command(folder)) == 2
    said = capsys.readouterr().err
    assert "--label" in said and "id, town, age, income, defaulted" in said and "pickle" not in said


def test_label_that_is_no_column(folder, capsys):
    """A typo lists what there is."""
    assert main(command(folder, "--label", "default")) == 2
    assert "no column 'default'. Its columns are id, town" in capsys.readouterr().err


def test_columns_in_the_order_of_the_model(tmp_path):
    """A table written in another order, with its index as a column."""
    paths = written(tmp_path, ",b,label,a\n0,1,0,2\n", ",b,label,a\n0,3,1,4\n")
    sides = load_sides(paths, "label", Named(["a", "b"]))
    assert [list(X.columns) for X, _ in sides] == [["a", "b"]] * 2
    assert [y.tolist() for _, y in sides] == [[0], [1]]


def test_arrays_for_models_trained_on_arrays(tmp_path):
    """A frame of names would be warned about by scikit-learn, and taken apart by a net."""
    paths = written(tmp_path, "a,b,y\n1,2,0\n", "a,b,y\n3,4,1\n")
    X, _ = load_sides(paths, "y", Named())[0]
    assert isinstance(X, np.ndarray) and X.tolist() == [[1, 2]]
    X, _ = load_sides(paths, "y", NeuralNetClassifier(nn.Linear))[0]
    assert X.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_a_model_was_calibrated_on_are_left_out(tmp_path, dtype):
    """As from arrays: a table of decimals has them in another precision than a model that was given float32."""
    X = np.random.default_rng(0).normal(size=(160, 4)).astype(dtype)
    y, is_member = np.arange(160) % 2, np.arange(160) < 60
    model = DefendedClassifier(RandomForestClassifier(5, random_state=0), "passthrough", calibrate="temperature")
    joblib.dump(model.fit(X[:100], y[:100], is_member=is_member[:100]), tmp_path / "m.joblib")
    frame = pandas.DataFrame(X).assign(defaulted=y)
    frame[is_member].to_csv(tmp_path / "members.csv", index=False)
    frame[~is_member].to_csv(tmp_path / "others.csv", index=False)
    assert main(command(tmp_path, "--label", "defaulted")) in (0, 1)
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert rows["held_out_or_calibrated_left_out"] == len(model.calibrated_on_) == 40
    assert rows["n_members"] == rows["n_non_members"] == 60


def test_column_that_looks_like_numbers_in_one_file_only(tmp_path):
    """Codes are text on both sides, or they would differ as data."""
    paths = written(tmp_path, "code,y\n007,0\n012,1\n", "code,y\nA7,0\n012,1\n")
    (X, _), (Z, _) = load_sides(paths, "y", Named(["code"]))
    assert X["code"].tolist() == ["007", "012"] and Z["code"].tolist() == ["A7", "012"]


def test_missing_numbers_on_one_side_stay_numbers(tmp_path):
    """An empty cell makes a column of integers one of floats, and no text."""
    paths = written(tmp_path, "age,y\n7,0\n12,1\n", "age,y\n,0\n12,1\n")
    (X, _), (Z, _) = load_sides(paths, "y", Named(["age"]))
    assert X["age"].dtype.kind in "if" and Z["age"].dtype.kind == "f"


@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.MembershipWarning")
def test_words_for_nothing_are_text_in_columns_of_text(tmp_path):
    """A category called None is one, as in the frame that was written; a number that is not there is missing."""
    frame = pandas.DataFrame(
        {
            "smokes": ["None", "some", None, "NA"],
            "sick": [True, False, True, np.nan],
            "age": [1.5, None, 2, 3],
            "y": ["n/a", "null", "well", "None"],
        }
    )
    paths = [str(tmp_path / "a.csv")] * 2
    for dots in ("", "NA"):
        frame.astype({"age": object}).fillna({"age": dots}).to_csv(paths[0], index=False)
        for classes in (["n/a"], [0]):
            X, y = load_sides(paths, "y", Named(["smokes", "sick", "age"], classes))[0]
            pandas.testing.assert_frame_equal(X, frame[["smokes", "sick", "age"]])
            assert y.tolist() == frame["y"].tolist()


def test_words_for_nothing_in_codes(tmp_path):
    """What is text on one side is text on both, with its words."""
    paths = written(tmp_path, "code,drug,y\n7,None,0\nNA,None,1\n", "code,drug,y\nA7,,0\n,wine,1\n")
    with pytest.warns(MembershipWarning, match="0.csv has 'NA' in column 'code'; 'None' in column 'drug': taken as"):
        (X, _), (Z, _) = load_sides(paths, "y", Named(["code", "drug"]))
    assert X.to_numpy().tolist() == [["7", "None"], ["NA", "None"]]
    assert Z.isna().to_numpy().tolist() == [[False, True], [True, False]]


def test_words_for_nothing_are_warned_of_in_features_only(tmp_path):
    """A classifier can't have been trained on missing labels, but on missing values of a file that has such words."""
    frame = pandas.DataFrame({"a": ["x", None, "y"], "y": ["None", "NA", "b"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_sides([str(tmp_path / "a.csv")] * 2, "y", Named(["a"]))


def test_labels_of_digits_that_were_trained_as_text(tmp_path):
    """Otherwise no label of the table would be one of the model's."""
    paths = written(tmp_path, "a,y\n1,0\n", "a,y\n2,1\n")
    assert [y.tolist() for _, y in load_sides(paths, "y", Named(["a"], ["0", "1"]))] == [["0"], ["1"]]
    assert [y.tolist() for _, y in load_sides(paths, "y", Named(["a"]))] == [[0], [1]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("a,y\n1,0\n", "a,y\n2,\n"), "1 cells of 'y' are empty"),
        (("a,y\n1,0\n", ""), "can't be read as a table"),
        (("a,y\n1,0\n", 'a,y\n"1,0\n'), "can't be read as a table"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, texts, message):
    """Empty labels, empty files, quotes left open."""
    with pytest.raises(CommandError, match=message):
        load_sides(written(tmp_path, *texts), "y", Named(["a"]))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.tsv", "a.csv.gz"])
def test_tables_that_do_not_exist(tmp_path, name):
    """Of every kind."""
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(CommandError, match=f"{name} does not exist"):
        load_sides([str(tmp_path / name)] * 2, "y", Named(["a"]))


@pytest.mark.parametrize("name", ["data.csv.npz", "a.tsv.b.NPZ", "a.csv.gz.npz"])
def test_arrays_made_of_a_table(tmp_path, name):
    """The last suffix says what a file holds, whatever it was made of."""
    with open(tmp_path / name, "wb") as file:
        np.savez(file, X=np.ones((2, 3)), y=np.zeros(2))
    X, y = load_sides([str(tmp_path / name)] * 2, None, Named())[0]
    assert X.shape == (2, 3) and y.shape == (2,)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.b.TSV.xz", "a.csv.zip", "a.npz.csv"])
def test_tables_by_their_suffixes(tmp_path, name):
    """Compressed or not."""
    frame = people(5, 1)
    frame.to_csv(tmp_path / name, index=False, sep="\t" if "TSV" in name else ",")
    X, y = load_sides([str(tmp_path / name)] * 2, "defaulted", Named(["town", "age"]))[0]
    assert list(X.columns) == ["town", "age"] and y.tolist() == frame["defaulted"].tolist()


def test_label_for_arrays(tmp_path):
    """An option that has no effect is a mistake."""
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 2)), y=np.zeros(2))
    with pytest.raises(CommandError, match="--label"):
        load_sides([str(tmp_path / "a.npz")] * 2, "y", Named())


def test_parquet(tmp_path):
    """With its types, categories among them."""
    pytest.importorskip("pyarrow")
    frame = people(20, 1).astype({"town": "category"})
    frame.to_parquet(tmp_path / "a.parquet")
    X, y = load_sides([str(tmp_path / "a.parquet")] * 2, "defaulted", Named(["town", "age"]))[0]
    assert X["town"].dtype == "category" and y.tolist() == frame["defaulted"].tolist()


def test_parquet_with_numbers_as_names(tmp_path):
    """As the columns of an array have in a frame: the label is named as it is printed."""
    pytest.importorskip("pyarrow")
    pandas.DataFrame([[1.0, 2.0, 0], [3.0, 4.0, 1]]).to_parquet(tmp_path / "a.parquet")
    X, y = load_sides([str(tmp_path / "a.parquet")] * 2, "2", Named())[0]
    assert X.tolist() == [[1, 2], [3, 4]] and y.tolist() == [0, 1]


def test_parquet_without_its_library(tmp_path, monkeypatch):
    """Says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CommandError, match="pip install pyarrow"):
        load_sides([str(tmp_path / "a.parquet")] * 2, "y", Named(["a"]))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_of_each_row(folder, tmp_path, capsys, suffix):
    """Each attacked row by its place in its own file, readable for its owner only, with a warning of what it is."""
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"scores.{suffix}"
    assert main(command(folder, "--label", "defaulted", "--scores", str(path))) == 0
    assert "tells who was in the training set: keep it like the training data" in capsys.readouterr().err
    assert path.stat().st_mode & 0o077 == 0
    scores = pandas.read_csv(path) if suffix == "csv" else pandas.read_parquet(path)
    assert list(scores.columns) == ["side", "row", "entropy", "correctness"]
    assert scores["side"].value_counts().to_dict() == {"member": 90, "non-member": 90}
    model = joblib.load(folder / "m.joblib")
    for side, name in (("member", "members"), ("non-member", "others")):
        rows = pandas.read_csv(folder / f"{name}.csv")
        part = scores[scores["side"] == side]
        found = rows.iloc[part["row"]]
        right = model.predict(found[["town", "age", "income"]]) == found["defaulted"]
        assert (part["correctness"].to_numpy() == right.to_numpy()).all()


def test_scores_leave_out_rows_without_a_side(folder, tmp_path):
    """A row on both sides is not attacked, and those after it keep their places."""
    for name, twin in (("a", "others"), ("b", "members")):
        rows = pandas.read_csv(folder / f"{twin}.csv").head(30 if name == "b" else 25)
        if name == "a":
            rows = pandas.concat([pandas.read_csv(folder / "members.csv").head(3), rows])
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = [str(tmp_path / f"{name}.csv") for name in ("b", "a")]
    given = ["audit", str(folder / "m.joblib"), "--members", paths[0], "--non-members", paths[1]]
    given += ["--label", "defaulted", "--attacks", "entropy", "--output", str(tmp_path / "out")]
    given += ["--scores", str(tmp_path / "s.csv")]
    assert main(given) in (0, 1)
    scores = pandas.read_csv(tmp_path / "s.csv")
    assert scores.loc[scores["side"] == "member", "row"].tolist() == list(range(3, 30))
    assert scores.loc[scores["side"] == "non-member", "row"].tolist() == list(range(3, 28))


@pytest.mark.parametrize("name", ["scores.txt", "scores", "nowhere.csv/s.csv", "taken.csv"])
def test_scores_file_that_cannot_be_written(folder, tmp_path, capsys, name):
    """It is known before the model is loaded."""
    (tmp_path / "nowhere.csv").write_text("")
    (tmp_path / "taken.csv").mkdir()
    given = command(folder, "--label", "defaulted", "--scores", str(tmp_path / name))
    given[1] = str(folder / "no-model.joblib")
    assert main(given) == 2
    assert name.partition("/")[0] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["members.csv", "others.csv", "sub/../link.csv", "n.csv", "m.csv", "out/attacks.csv"])
def test_scores_file_that_the_audit_reads_or_writes_itself(folder, tmp_path, capsys, name):
    """Training rows would be lost, or the table of the report; also by another path to the same file."""
    for each in ("members.csv", "others.csv"):
        shutil.copy(folder / each, tmp_path)
    for each in ("m.joblib", "m.csv", "n.csv"):
        shutil.copy(folder / "m.joblib", tmp_path / each)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.csv").symlink_to("members.csv")
    before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
    given = command(tmp_path, "--label", "defaulted", "--scores", str(tmp_path / name))
    given[1] = str(tmp_path / "m.csv")
    assert main([*given, "--undefended", str(tmp_path / "n.csv")]) == 2
    assert "--scores must be a file of its own" in capsys.readouterr().err
    assert ((tmp_path / name).read_bytes() if (tmp_path / name).exists() else None) == before


@pytest.mark.parametrize("name", ["attacks.csv", "link.csv"])
def test_report_that_would_replace_its_own_rows(folder, tmp_path, capsys, name):
    """Members whose table has the name of a file of the report, or is a link to it."""
    shutil.copy(folder / "members.csv", tmp_path / "attacks.csv")
    (tmp_path / "link.csv").symlink_to("attacks.csv")
    before = (tmp_path / "attacks.csv").read_bytes()
    given = command(folder, "--label", "defaulted", "--members", str(tmp_path / name), "--output", str(tmp_path))
    assert main(given) == 2
    assert "--output must be another folder: this audit reads" in capsys.readouterr().err
    assert (tmp_path / "attacks.csv").read_bytes() == before
    assert not (tmp_path / "report.html").exists()


def test_without_the_option_no_file_holds_a_score(folder):
    """The report has figures, and no membership of a row."""
    assert main(command(folder, "--label", "defaulted")) == 0
    assert {path.name for path in (folder / "out").iterdir()} == {"report.html", "report.json", "attacks.csv"}
