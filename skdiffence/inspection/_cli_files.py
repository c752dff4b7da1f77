"""The files of the command ``audit``: models, rows as arrays or tables, and the folder of the report."""

import warnings
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

import joblib
import numpy as np

from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._files import check_writable, whole_file
from skdiffence.utils._frames import is_numeric
from skdiffence.utils._optional import import_optional
from skdiffence.utils._skorch import nets_inside

_CSV, _PARQUET = {".csv": ",", ".tsv": "\t"}, (".parquet", ".pq")
_COMPRESSED = (".gz", ".bz2", ".zip", ".xz", ".zst")
_FROM_TORCH = (
    "{path} is a file of torch, and not a model saved by joblib.dump. Make a classifier of it and save that: "
    "joblib.dump(classifier, 'model.joblib', compress=1), with "
    "classifier = skdiffence.from_module(module, classes, state_dict='{path}')."
)
_TORCH = (".pt", ".pth", ".ckpt", ".safetensors")


class CommandError(Exception):
    """The input can't be used; the message says why."""


def shown(text):
    r"""Return a text that has a path in it so that it can be printed and written.

    Parameters
    ----------
    text : str
        Bytes of a path that are no UTF-8 are lone surrogates in it.

    Returns
    -------
    text : str
        With ``\udce9`` for the byte e9, say.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def load_model(path):
    """Return what joblib saved in a file.

    Parameters
    ----------
    path : str
        The file. Loading it runs whatever code is in it.

    Returns
    -------
    model : object

    Raises
    ------
    CommandError
        If the file can't be loaded.
    """
    try:
        model = joblib.load(path)
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist.") from None
    except (AttributeError, ImportError) as error:
        raise CommandError(
            f"{path} needs a class or function that can't be found here: {error}. If it was defined in a script or a "
            "notebook, move it to a module, save the model again, and run this command in the folder of the module."
        ) from error
    except (Exception, SystemExit) as error:  # a damaged pickle can raise anything
        if _is_torch_file(path):
            raise CommandError(_FROM_TORCH.format(path=path)) from error
        raise CommandError(f"{path} can't be loaded as a model saved by joblib.dump: {_why(path, error)}") from error
    # Of an old file of torch joblib loads the number that it begins with.
    if _is_torch_file(path) and not hasattr(model, "predict_proba"):
        raise CommandError(_FROM_TORCH.format(path=path))
    return model


def _why(path, error):
    if _is_table(path) or Path(path).suffix.lower() in (".npz", ".npy"):
        return "it is a file of rows."
    if isinstance(error, EOFError):
        return "it is empty or was cut off."
    return f"{type(error).__name__}: {error}"


def _is_torch_file(path):
    if Path(path).suffix.lower() in _TORCH:
        return True
    return is_zipfile(path) and any(name.endswith("/data.pkl") for name in ZipFile(path).namelist())


def load_sides(paths, label, model):
    """Return the rows and labels of each file.

    Parameters
    ----------
    paths : list of str
        Files of one kind: ``.npz`` with arrays X and y or X alone, ``.npy``, or CSV or parquet tables.
    label : str or None
        Column of the labels in tables. None where tables hold nothing but what the model takes.
    model : classifier
        Whose feature names and classes say which columns of a table are given to it, and how.

    Returns
    -------
    sides : list of tuple of (X, y)
        Labels are None for files without any.

    Raises
    ------
    CommandError
        If a file can't be read or holds something else.
    """
    tables = [path for path in paths if _is_table(path)]
    if not tables:
        if label is not None:
            raise CommandError(f"--label names a column of CSV and parquet tables. Got {paths[0]}, which is none.")
        return [_load_arrays(path) for path in paths]
    if len(tables) < len(paths):
        raise CommandError(f"--members and --non-members must be files of one kind. Got {' and '.join(paths)}.")
    text = [label] if np.asarray(getattr(model, "classes_", ())).dtype.kind in "OSU" else []
    frames = _with_equal_types([_read_table(path, text, label) for path in paths], paths, text, label)
    return [_split_label(frame, path, label, model) for frame, path in zip(frames, paths, strict=True)]


def check_scores_file(path, taken=()):
    """Check that scores can be written to a file, before anything is computed.

    Parameters
    ----------
    path : str or None
        The file, CSV or parquet; None writes nothing.
    taken : iterable of str or path, default=()
        Files that the command reads or writes itself.

    Raises
    ------
    CommandError, ImportError, OSError
        If its name has another ending or is that of a taken file, a library is missing, or its folder can't be
        written to.
    """
    if path is None:
        return
    if same := _files_of_both([path], taken):
        raise CommandError(f"--scores must be a file of its own. Got {same[0]}, which this audit reads or writes.")
    if Path(path).suffix.lower() not in (".csv", *_PARQUET):
        raise CommandError(f"--scores must be a .csv or .parquet file. Got {path}.")
    import_optional("pandas", extra="audit")
    if Path(path).suffix.lower() in _PARQUET:
        _check_parquet(path)
    check_writable(Path(path).parent, [Path(path).name])


def check_report_files(files, read):
    """Check that a report replaces no file that it is made from, before anything is computed.

    Parameters
    ----------
    files : iterable of str or path
        Files of the report.
    read : iterable of str or path
        Files that the command reads.

    Raises
    ------
    CommandError
        If a file is both.
    """
    if same := _files_of_both(files, read):
        raise CommandError(f"--output must be another folder: this audit reads {same[0]} and would write it as well.")


def _files_of_both(files, others):
    others = {Path(each).resolve() for each in others}
    return [path for path in files if Path(path).resolve() in others]


def write_table(frame, path):
    """Write a table that only its owner may read.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    path : str
        The file, CSV or parquet.
    """
    with whole_file(path, private=True) as unfinished:
        if unfinished.suffix.lower() in _PARQUET:
            frame.to_parquet(unfinished, index=False)
        else:
            frame.to_csv(unfinished, index=False)


def _check_parquet(path):
    try:
        import_optional("pyarrow", extra="audit")
    except ImportError:
        raise CommandError(f"{path}: parquet files need pyarrow (pip install pyarrow).") from None


def _suffix(path):
    """Return the suffix that says what a file holds, in lower case: of a compressed file the one before the last."""
    suffixes = ["", *(suffix.lower() for suffix in Path(path).suffixes)]
    return suffixes[-2] if suffixes[-1] in _COMPRESSED else suffixes[-1]


def _is_table(path):
    return _suffix(path) in (*_CSV, *_PARQUET)


def _load_arrays(path):
    """Return the arrays X and y of a file, None for y if it holds X alone; never unpickles anything."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found, None
        with found as file:
            if file.files == ["X"]:
                return file["X"], None
            missing = {"X", "y"} - set(file.files)
            if missing:
                names = " and ".join(sorted(missing))
                raise CommandError(f"{path} must hold arrays X and y. Got {sorted(file.files)}, without {names}.")
            return file["X"], file["y"]
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist.") from None
    except (BadZipFile, EOFError, OSError, ValueError) as error:
        # NumPy's own message advises to unpickle what it does not know.
        why = "" if "pickle" in str(error) else f": {error}"
        raise CommandError(
            f"{path} can't be read as an npz file of plain numbers or text{why}. Python objects and columns of mixed "
            "types are not read, because loading them can run code. Save tables as .csv or .parquet and name the "
            "column of their labels by --label."
        ) from error


def _read_table(path, text, label):
    """Return a table; the named columns as text."""
    pandas = import_optional("pandas", extra="audit")
    if _suffix(path) in _PARQUET:
        _check_parquet(path)
    try:
        if _suffix(path) in _PARQUET:
            return pandas.read_parquet(path)
        options = {"sep": _CSV[_suffix(path)], "dtype": dict.fromkeys(text, str), "low_memory": False}
        return _with_all_words(pandas.read_csv(path, **options), path, options, label)
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist.") from None
    except Exception as error:  # readers raise errors of their own
        raise CommandError(f"{path} can't be read as a table: {error}") from error


def _with_all_words(frame, path, options, label):
    """Return a table with the words in columns of text that pandas takes for missing values, such as None and NA.

    Only empty cells are missing there, which is how ``to_csv`` writes missing values. Columns of numbers stay as read.
    """
    texts = [name for name in frame.columns if name in options["dtype"] or _has_text(frame[name])]
    if not frame[texts].isna().any(axis=None):
        return frame
    pandas = import_optional("pandas", extra="audit")
    words = pandas.read_csv(path, keep_default_na=False, na_values=[""], **options)[texts]
    lost = {name: words[name][frame[name].isna()].dropna().unique() for name in texts if name != label}
    if found := {name: sorted(lost[name]) for name in lost if len(lost[name])}:
        named = "; ".join(f"{', '.join(map(repr, cells))} in column {name!r}" for name, cells in found.items())
        warnings.warn(
            f"{path} has {named}: taken as text. If the model was trained on what pandas.read_csv made of such a file, "
            "these cells were missing values. Leave them empty then, as frame.to_csv does.",
            MembershipWarning,
            stacklevel=2,
        )
    frame[texts] = words
    return frame


def _has_text(column):
    return _kind(column) == "O" and any(isinstance(cell, str) for cell in column.unique())


def _with_equal_types(frames, paths, text, label):
    """Return the tables, with columns whose types were guessed differently read again as text.

    A column of codes can look like numbers in one file and not in the other.
    """
    shared = [name for name in frames[0].columns if name in frames[1].columns]
    unlike = [name for name in shared if _kind(frames[0][name]) != _kind(frames[1][name])]
    if not unlike or any(_suffix(path) in _PARQUET for path in paths):
        return frames
    return [_read_table(path, [*text, *unlike], label) for path in paths]


def _kind(column):
    kind = getattr(column.dtype, "kind", "O")
    return "number" if kind in "iuf" else kind


def _split_label(frame, path, label, model):
    """Return the columns that the model knows, as it was given them in training, and the labels if there are any."""
    names, known = [str(name) for name in frame.columns], getattr(model, "feature_names_in_", None)
    if label is None and not _holds_features_only(names, model):
        raise CommandError(
            f"{path} is a table: name the column of its labels by --label. It is audited without labels if it holds "
            f"nothing but the model's features. Its columns are {', '.join(names[:20])}."
        )
    if label is not None and label not in names:
        hint = " Are cells separated by another mark than commas?" if len(names) == 1 else ""
        columns = ", ".join(names[:20])
        raise CommandError(f"{path} is a table: it has no column {label!r}. Its columns are {columns}.{hint}")
    X, y = frame, None
    if label is not None:
        # Columns of a parquet file can have names that are no text.
        column = frame.columns[names.index(label)]
        X, y = frame.drop(columns=column), frame[column]
        if y.isna().any():
            raise CommandError(f"{path} must have a label in each row. {y.isna().sum()} cells of {label!r} are empty.")
        y = y.to_numpy()
    if known is not None:
        return X[[name for name in known if name in X.columns]], y
    if all(is_numeric(dtype) for dtype in X.dtypes):
        # Trained on an array.
        dtype = np.float32 if nets_inside(model) else None
        return X.to_numpy(dtype=dtype), y
    return X, y


def _holds_features_only(names, model):
    """Return whether a table has no column that the model was not trained on, so that none can hold labels."""
    known = getattr(model, "feature_names_in_", None)
    if known is not None:
        return set(names) <= {str(name) for name in known}
    return len(names) == getattr(model, "n_features_in_", None)
