"""The server of examples/serve: answers of the model itself, nothing undefended, and bounds on what is accepted."""

import importlib
import logging
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from skdiffence import DefendedClassifier, DiffusionRegenerator
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

pytest.importorskip("fastapi")
batches, serve, testclient = (importlib.import_module(name) for name in ("batches", "serve", "starlette.testclient"))
SCRIPT = Path(serve.__file__)
SHAPE = (1, 4, 4)
X = np.random.default_rng(0).random((24, *SHAPE), dtype=np.float32)
y = np.arange(24) % 3
ONE_ROW = '{"rows": [[[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, ?]]]]}'

pytestmark = pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning")


@pytest.fixture(scope="module")
def defended():
    """Return a fitted classifier whose answers do not depend on the batch."""
    net = make_net(module__n_features=16, module__n_classes=3, max_epochs=1)
    regenerator = DiffusionRegenerator({"block_out_channels": (4, 4)}, max_epochs=1, exact=True, value_range=(0, 1))
    return DefendedClassifier(net, regenerator, random_state=0).fit(X, np.array(["a", "b", "c"])[y]).rotate_key()


@pytest.fixture(scope="module")
def client(defended):
    """Return a client of the running application."""
    with testclient.TestClient(serve.make_app(defended, serve.Limits(rows=8)), client=("me", 1)) as client:
        yield client


def post(client, rows):
    """Ask for the answers for some rows."""
    return client.post("/predict_proba", json={"rows": rows})


def test_concurrent_requests_get_their_own_answers(client, defended):
    """To the last bit those of one call in this process, labels included."""
    expected = defended.predict_proba(X)
    starts = range(0, 24, 3)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda start: post(client, X[start : start + 3].tolist()).json(), starts))
    assert np.array_equal(np.concatenate([each["proba"] for each in found]), expected)
    assert sum((each["label"] for each in found), []) == defended.predict(X).tolist()


def test_requests_are_answered_together(defended):
    """While one batch is computed, the next ones wait, and are then one call."""
    first, go, sizes = threading.Event(), threading.Event(), []

    def predict_proba(rows):
        sizes.append(len(rows))
        if len(sizes) == 3:
            first.set()
            assert go.wait(60)
        return np.full((len(rows), 3), 1 / 3)

    app = serve.make_app(answering(defended, predict_proba))
    with testclient.TestClient(app) as client, ThreadPoolExecutor(5) as threads:
        one = threads.submit(post, client, X[:1].tolist())
        assert first.wait(60)
        others = [threads.submit(post, client, X[:2].tolist()) for _ in range(4)]
        while client.get("/health").json()["waiting"] < 4:
            pass
        go.set()
        assert all(each.result().status_code == 200 for each in (one, *others))
    assert sizes == [1, 64, 1, 8]  # two to warm up


def answering(defended, predict_proba):
    """Return the classifier with another way of answering."""
    other = clone(defended)
    vars(other).update(vars(defended), predict_proba=predict_proba)
    return other


def test_full_queue_is_429(defended):
    """Further requests are refused at once, and the waiting ones answered."""
    started, go = threading.Semaphore(0), threading.Event()

    def predict_proba(rows):
        started.release()
        assert len(rows) != 2 or go.wait(60)
        return np.full((len(rows), 3), 1 / 3)

    app = serve.make_app(answering(defended, predict_proba), serve.Limits(waiting=1, batch_rows=4))
    with testclient.TestClient(app) as client, ThreadPoolExecutor(2) as threads:
        one = threads.submit(post, client, X[:2].tolist())
        [started.acquire() for _ in range(3)]
        two = threads.submit(post, client, X[:1].tolist())
        while not client.get("/health").json()["waiting"]:
            pass
        refused = post(client, X[:1].tolist())
        go.set()
        assert one.result().status_code == two.result().status_code == 200
    assert refused.status_code == 429 and refused.headers["retry-after"] == "1"


def test_error_of_the_model_tells_nothing_and_harms_no_other_request(defended, caplog):
    """Its message, which may hold undefended probabilities, is neither sent nor logged."""

    def predict_proba(rows):
        if (rows > 5).any():
            raise ValueError("confidence 0.98765")
        return np.full((len(rows), 3), 1 / 3)

    with (
        caplog.at_level(logging.DEBUG),
        testclient.TestClient(serve.make_app(answering(defended, predict_proba))) as client,
    ):
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda rows: post(client, rows.tolist()), (X[:2], X[:2] + 9, X[2:4], X[:1])))
        assert [each.status_code for each in found] == [200, 500, 200, 200]
        assert client.get("/health").json()["status"] == "ok"
    assert found[1].json() == {"detail": "These rows could not be answered."}
    assert "98765" not in caplog.text and "2 rows were not answered: ValueError" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        '{"rows": []}',
        '{"rows": [[[[0, 0, 0, 0]]]]}',
        '{"rows": [[1, 2, 3, 4]]}',
        '{"rows": "text"}',
        '{"rows": 1}',
        "{}",
        "[]",
        "",
        "not JSON",
        "[" * 5000,
        *(ONE_ROW.replace("?", cell) for cell in ("NaN", "Infinity", "1e999", "1e39", '"1"', "true", "null")),
        f'{{"rows": {np.zeros((9, *SHAPE)).tolist()}}}',
    ],
    ids=lambda body: body[:12] + body[-8:],
)
def test_invalid_body_is_refused(body, client):
    """By its place, without what was sent and without a stack trace."""
    answer = client.post("/predict_proba", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 300 and "Traceback" not in answer.text


def test_large_body_is_413_and_one_of_unknown_length_411(client):
    """Before it is read."""
    limit = serve.Limits(rows=8).body(SHAPE)
    assert len(str(np.full((8, *SHAPE), -1.2345678901234567e-100).tolist())) < limit
    assert client.post("/predict_proba", content=b" " * (limit + 1)).status_code == 413
    assert client.post("/predict_proba", content=iter([b"{}"])).status_code == 411


def refitted(defended, params, noise="shared"):
    """Return the classifier with other parameters, fitted."""
    regenerator = DiffusionRegenerator(defended.regenerator_.denoiser_, noise=noise, value_range=(0, 1))
    return clone(defended).set_params(**{"regenerator": regenerator, "n_candidates": 2, **params}).fit(X, y)


@pytest.mark.parametrize(
    ("params", "noise", "message"),
    [
        ({"regenerator": "passthrough"}, "shared", "undefended"),
        ({"selection": "first"}, "shared", "membership"),
        ({"selection": "first", "search": "constant", "fallback": "original"}, "shared", "undefended"),
        ({"selection": "first", "search": "constant"}, "fresh", "averaged"),
        ({}, "shared", "follows from random_state.*Call rotate_key"),
    ],
)
def test_leaky_classifier_is_refused(params, noise, message, defended, tmp_path, monkeypatch, capsys):
    """At the start, by a sentence on the command line."""
    leaky = refitted(defended, params, noise)
    with pytest.raises(ValueError, match=message):
        serve.make_app(leaky)
    if params and params.get("regenerator") != "passthrough":
        leaky.rotate_key()
    leaky.save_pretrained(tmp_path / "leaky")
    monkeypatch.setattr(sys, "argv", ["serve.py", str(tmp_path / "leaky"), "--classes", "tests.nets:MLP"])
    with pytest.raises(SystemExit):
        serve.main()
    assert re.search(message, capsys.readouterr().err)


def test_regenerator_without_value_range_is_refused(defended):
    """By name; one of your own needs it for the count of near-duplicates."""
    other = clone(defended).set_params(regenerator=NoiseRegenerator(), n_candidates=2).fit(X, y)
    with pytest.raises(ValueError, match="must have value_range_.*NoiseRegenerator has none"):
        serve.make_app(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing does not exist"),
        (["missing", "--classes", "tests.nets"], "must be module:Class, such as make_model:Net. Got 'tests.nets'"),
        (["missing", "--classes", ":MLP"], "must be module:Class"),
        (["missing", "--classes", "nomodule:Net"], "'nomodule:Net' can't be imported: No module named 'nomodule'"),
        (["missing", "--classes", "tests.nets:No"], "'tests.nets:No' can't be imported: .* has no attribute 'No'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistake_on_the_command_line_is_told_in_a_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    """Without a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["serve.py", *arguments])
    with pytest.raises(SystemExit):
        serve.main()
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("params", [{"selection": "swap"}, {"selection": "first", "search": "constant"}])
def test_constant_cost_is_served(params, defended):
    """One candidate for each row, or all of them."""
    serve.check_servable(refitted(defended, params).rotate_key())


def starting(defended, caplog):
    """Return what is logged while an application starts."""
    with caplog.at_level(logging.WARNING), testclient.TestClient(serve.make_app(defended)):
        return " ".join(record.getMessage() for record in caplog.records)


def test_denoiser_that_saw_members_is_named_in_the_log(defended, caplog):
    """At the start; what is pretrained may have seen other rows."""
    assert "denoiser was trained on members" in starting(defended, caplog)
    caplog.clear()
    assert not starting(refitted(defended, {}).rotate_key(), caplog)


def test_given_key_is_served_with_a_warning(defended, caplog):
    """Several services may share a key that their owner keeps elsewhere."""
    regenerator = DiffusionRegenerator(defended.regenerator_.denoiser_, key=b"secret" * 6, value_range=(0, 1))
    with_key = clone(defended).set_params(regenerator=regenerator, n_candidates=2).fit(X, y)
    assert "can't tell whether it is secret" in starting(with_key, caplog)
    caplog.clear()
    assert not starting(with_key.rotate_key(), caplog)


def test_near_duplicates_are_counted_by_client(client, caplog):
    """A burst is logged once, with its client and no row."""
    near = X[:1] + np.random.default_rng(1).normal(scale=1e-3, size=(40, *SHAPE)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        for row in near:
            assert post(client, [row.tolist()]).status_code == 200
    told = [record.getMessage() for record in caplog.records]
    assert told == ["me has sent 16 near-duplicates among its last rows"]


def test_near_duplicates_of_rows_on_any_scale():
    """Differences count as shares of each feature's range, other clients do not, and the memory is bounded."""
    low, high, rng = np.array([0.0, 1000.0, 5.0]), np.array([1.0, 3000.0, 5.0]), np.random.default_rng(0)
    found = batches.NearDuplicates(low, high, (3,), n_clients=2, window=10)
    rows = np.column_stack((np.linspace(0, 1, 8), np.linspace(1000, 3000, 8), np.full(8, 5.0)))
    assert found.count("one", rows) == (0, 0)
    assert found.count("two", rows) == (0, 0)
    assert found.count("one", rows + rng.normal(size=rows.shape) * [0.001, 2, 0]) == (0, 8)
    assert found.count("three", rows) == (0, 0)
    assert found.count("two", rows) == (0, 0)  # forgotten, as the one that was heard of longest ago


def test_started_as_a_process(defended, tmp_path):
    """From the folder, without pickle, with the key elsewhere; it ends when it is told to."""
    defended.save_pretrained(tmp_path / "model", key_file=tmp_path / "noise.key")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "model"), "--classes", "tests.nets:MLP", "--port", "0"]
    command += ["--key-file", str(tmp_path / "noise.key")]
    here = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=here) as process:
        lines = []
        try:
            for line in process.stderr:
                lines.append(line)
                if (place := re.search(r"http://127\.0\.0\.1:\d+", line)) is not None:
                    break
            with testclient.httpx.Client(base_url=place[0], timeout=60) as client:
                assert client.get("/health").json() == {"status": "ok", "waiting": 0}
                found = post(client, X[:8].tolist()).json()
        finally:
            process.terminate()
        lines += process.stderr.readlines()
    assert np.array_equal(found["proba"], defended.predict_proba(X[:8]))
    assert process.returncode in (0, -15), lines
    assert "Traceback" not in "".join(lines)
