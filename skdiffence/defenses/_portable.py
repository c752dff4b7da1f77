"""Folders of defended classifiers: JSON, safetensors and, for parts of scikit-learn, skops; the key in a file apart."""

import contextlib
import hashlib
import json
import os
import secrets
import warnings
from functools import partial
from pathlib import Path

from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from skdiffence.defenses._encoding import Decoder, Encoder, read_part
from skdiffence.exceptions import DefenseWarning
from skdiffence.utils._files import lock, opened, whole_file
from skdiffence.utils._fingerprint import named_versions
from skdiffence.utils._folders import read_folder, whole_folder
from skdiffence.utils._versions import warn_if_other_versions

KEY_VARIABLE = "SKDIFFENCE_KEY_FILE"
_NOTES, _KEY = "defended.json", "noise.key"
# Seconds to wait for others who write to the same file of keys.
_PATIENCE = 30.0


def write_defended(classifier, folder, key_file):
    """Write a fitted classifier to a folder and its keys to a file; see ``DefendedClassifier.save_pretrained``."""
    _check_replaceable(Path(folder))
    key_file = _key_file(key_file)
    if key_file is not None and key_file.resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(
            f"key_file must lie outside of the folder, which is replaced as a whole. Got {key_file}. Without key_file "
            f"the key is written to {_KEY} in the folder."
        )
    encoder = Encoder()
    encoded = encoder.encode(classifier, "classifier")
    _warn_of(classifier, encoder.left_out)
    ident = _add_keys(key_file, encoder.secrets) if key_file is not None else secrets.token_hex(16)
    with whole_folder(folder) as unfinished:
        (unfinished / "arrays.safetensors").write_bytes(save_arrays(encoder.arrays))
        (unfinished / "tensors.safetensors").write_bytes(save_tensors(encoder.tensors))
        for name, part in encoder.parts.items():
            (unfinished / f"{name}.skops").write_bytes(part)
        checksums = {path.name: _checksum(path.read_bytes()) for path in sorted(unfinished.iterdir())}
        notes = {"versions": named_versions(), "key": ident, "checksums": checksums, "classifier": encoded}
        text = json.dumps(notes, indent=1)
        (unfinished / _NOTES).write_text(json.dumps({"checksum": _checksum(text.encode()), "notes": text}), "utf-8")
        if key_file is None:
            _write_keys(unfinished / _KEY, {ident: encoder.secrets})


def read_defended(cls, folder, classes, key_file):
    """Return the classifier in a folder; see ``DefendedClassifier.from_pretrained``."""
    return read_folder(folder, lambda place: _read(cls, place, classes, key_file))


def _read(cls, folder, classes, key_file):
    notes = _read_notes(folder)
    warn_if_other_versions(notes["versions"], str(folder))
    files = {name: _read_checked(folder / name, checksum) for name, checksum in notes["checksums"].items()}
    decoder = Decoder(
        classes,
        arrays=load_arrays(files["arrays.safetensors"]),
        tensors=load_tensors(files["tensors.safetensors"]),
        parts={name.removesuffix(".skops"): partial(read_part, folder / name, classes) for name in files},
        secrets=_read_keys(folder, key_file, notes["key"]),
    )
    made = decoder.decode(notes["classifier"])
    if not isinstance(made, cls):
        raise ValueError(f"{folder} holds a {type(made).__name__}, not a {cls.__name__}.")
    return made


def _check_replaceable(folder):
    if folder.exists() and not (folder.is_dir() and ((folder / _NOTES).is_file() or not any(folder.iterdir()))):
        raise FileExistsError(f"{folder} exists and holds no defended classifier. Choose another folder or remove it.")


def _warn_of(classifier, left_out):
    if left_out:
        warnings.warn(
            f"Not written, because it matters for training only: {', '.join(sorted(set(left_out)))}. What is loaded "
            "answers the same, and would be trained without it.",
            DefenseWarning,
            stacklevel=4,
        )
    regenerator = getattr(classifier, "regenerator_", None)
    if getattr(regenerator, "key_is_secret_", None) is False and getattr(regenerator, "key", None) is None:
        warnings.warn(
            "The key of the noise follows from random_state, which is in the folder: whoever has the folder and the "
            "rows can compute it. Call rotate_key() before saving.",
            DefenseWarning,
            stacklevel=4,
        )


def _read_notes(folder):
    try:
        outer = json.loads((folder / _NOTES).read_text("utf-8"))
        text, checksum = outer["notes"], outer["checksum"]
    except FileNotFoundError:
        raise ValueError(f"{folder} has no {_NOTES}: it was not written by save_pretrained.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} has an unreadable {_NOTES}: {error}") from error
    if _checksum(text.encode()) != checksum:
        raise ValueError(f"{folder} has a damaged {_NOTES}: its checksum differs. Save or copy it again.")
    return json.loads(text)


def _read_checked(path, checksum):
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path.parent} lacks the file {path.name}. Copy it again.") from None
    if _checksum(content) != checksum:
        raise ValueError(f"{path} is damaged: its checksum differs. Save or copy it again.")
    return content


def _checksum(content):
    return hashlib.blake2b(content, digest_size=32).hexdigest()


# The file of the keys: one entry for each folder that was saved with it


def _key_file(key_file):
    given = os.environ.get(KEY_VARIABLE) if key_file is None else key_file
    return Path(given) if given else None


def _add_keys(path, keys):
    """Add keys to a file, and return the name under which they are found there."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Others who add keys to this file wait, for all of it is written anew.
    with opened(path.parent) as handle:
        _wait_for(handle, path)
        known = _known_keys(path) if path.exists() else {}
        keys = [list(key) for key in keys]
        same = [name for name, others in known.items() if others == keys]
        if same:
            return same[0]
        ident = secrets.token_hex(16)
        _write_keys(path, {**known, ident: keys})
        return ident


def _wait_for(handle, path):
    locked = True
    with contextlib.suppress(OSError):  # some file systems have no locks
        locked = lock(handle, patience=_PATIENCE)
    if not locked:
        raise TimeoutError(f"key_file {path} can't be written to: another process holds its folder. Save again later.")


def _write_keys(path, keys):
    with whole_file(path, private=True) as unfinished:
        unfinished.write_text(json.dumps({"keys": keys}, indent=1), encoding="utf-8")


def _read_keys(folder, key_file, ident):
    inside = folder / _KEY
    # A folder that has its key needs no other file, whatever the environment says.
    path = inside if key_file is None and inside.is_file() else _key_file(key_file) or inside
    if not path.is_file():
        raise ValueError(
            f"The key of the noise is not there: {path} does not exist. Give its place as key_file= or in the "
            f"environment variable {KEY_VARIABLE}. Without the key the classifier can't answer as it did."
        )
    known = _known_keys(path)
    if ident not in known:
        raise ValueError(f"key_file {path} holds no key of {folder}, but of other folders.")
    return [tuple(key) for key in known[ident]]


def _known_keys(path):
    try:
        return dict(json.loads(path.read_text("utf-8"))["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Without the content, which may be a key.
        raise ValueError(f"key_file {path} is not a file of keys that save_pretrained wrote.") from (
            error if isinstance(error, OSError) else None
        )
