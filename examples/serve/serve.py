"""Serve a defended classifier over HTTP, from a folder that ``save_pretrained`` has written.

    python examples/serve/serve.py FOLDER --classes make_model:Net --key-file noise.key

Needs ``skdiffence[serve]``. Put it behind a proxy that does TLS and knows its clients.
"""

import argparse
import asyncio
import importlib
import logging
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import uvicorn
from batches import Batcher, NearDuplicates, UnansweredError
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field, create_model

from skdiffence import DefendedClassifier

# What is logged: counts, times and names of errors. Never a row, an answer or the message of an error, which may
# hold what the undefended net says.
log = logging.getLogger("uvicorn.error")

LARGEST = float(np.finfo(np.float32).max)
CONNECTIONS = 256  # at the same time; each may hold a body in memory


@dataclass(frozen=True)
class Limits:
    """Bounds of what is accepted.

    Parameters
    ----------
    rows : int
        Rows of one request.
    batch_rows : int
        Rows that are answered together.
    wait : float
        Seconds that a request waits for others to join it.
    waiting : int
        Requests in the queue; further ones get status 429.
    near_duplicates : int
        Near-duplicates among a client's last 128 rows that are logged as a burst.
    """

    rows: int = 64
    batch_rows: int = 64
    wait: float = 0.002
    waiting: int = 64
    near_duplicates: int = 16

    def body(self, shape):
        """Return the largest body in bytes: 32 for each number."""
        return 1024 + 32 * self.rows * math.prod(shape)


def check_servable(defended):
    """Raise an error unless all answers are defended, cost the same, are the same again and have a secret key."""
    rule, regenerator = defended.selection_, defended.regenerator_
    if isinstance(regenerator, str):
        raise ValueError(f"regenerator={regenerator!r} hands out undefended answers. Serve a defended classifier.")
    if defended.fallback == "original" and not rule.relabels:
        raise ValueError('fallback="original" hands out undefended answers. Serve one with fallback="swap".')
    most = rule.max_candidates
    n_candidates = defended.n_candidates if most is None else min(defended.n_candidates, most)
    if rule.ends_early and defended.search != "constant" and n_candidates > 1:
        raise ValueError(
            f"{rule} under search={defended.search!r} takes longer for some rows than for others, which tells about "
            'membership. Serve selection="mean", the default, or search="constant".'
        )
    if getattr(regenerator, "noise", None) == "fresh":
        raise ValueError('noise="fresh" draws anew for a repeated query, so that answers can be averaged.')
    if hasattr(defended, "feature_names_in_"):
        raise ValueError("The classifier was fitted to a frame, and this server sends it arrays. Fit it to arrays.")
    if not hasattr(regenerator, "value_range_"):
        name = type(regenerator).__name__
        raise ValueError(
            "The regenerator must have value_range_, the lowest and the highest value of its inputs, by which "
            f"near-duplicates are counted, as DiffusionRegenerator has. {name} has none: let its fit set it."
        )
    if key_is_computable(regenerator):
        raise ValueError(
            "The key of the noise follows from random_state: whoever knows that and the rows can compute the key, and "
            "subtract the noise. Call rotate_key() and save the classifier again, or fit it without random_state."
        )


def key_is_computable(regenerator):
    """Return whether the key of the noise is no secret because it follows from ``random_state``."""
    return getattr(regenerator, "key_is_secret_", None) is False and getattr(regenerator, "key", None) is None


def doubts(defended):
    """Return what may be wrong with a classifier that can be served, in sentences."""
    sentences = []
    if defended.denoiser_saw_members_:
        sentences.append(
            "The denoiser was trained on members, and regenerates them better than other rows, which tells about "
            "membership. Train it on public rows, or use a pretrained one."
        )
    if getattr(defended.regenerator_, "key_is_secret_", None) is False:
        sentences.append("The key of the noise was given as key=. The server can't tell whether it is secret.")
    return sentences


def request_model(shape, limits):
    """Return the model of a request: rows of the classifier's own shape, of finite numbers."""
    row = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False, strict=True)]
    for length in reversed(shape):
        row = Annotated[list[row], Field(min_length=length, max_length=length)]
    return create_model("Rows", rows=(Annotated[list[row], Field(min_length=1, max_length=limits.rows)], ...))


def make_app(defended, limits=None):
    """Return the application.

    Parameters
    ----------
    defended : DefendedClassifier
        Fitted.
    limits : Limits, default=None
        Bounds of what is accepted; None for the defaults.

    Returns
    -------
    app : FastAPI
    """
    check_servable(defended)
    limits = Limits() if limits is None else limits
    shape, classes = defended.input_shape_, defended.classes_.tolist()
    dtype = np.float64 if len(shape) == 1 else np.float32
    batcher = Batcher(defended.predict_proba, n_rows=limits.batch_rows, wait=limits.wait, n_waiting=limits.waiting)
    low, high = (np.reshape(end, (-1, *[1] * (len(shape) - 1))) for end in defended.regenerator_.value_range_)
    near_duplicates = NearDuplicates(low, high, shape)

    @asynccontextmanager
    async def lifespan(app):
        for sentence in doubts(defended):
            log.warning(sentence)
        async with batcher:
            for n_rows in (1, limits.batch_rows):  # the first calls are slow, and not for a client to wait for
                await batcher.submit(np.broadcast_to(low, (n_rows, *shape)).astype(dtype))
            yield

    app = FastAPI(title="Defended classifier", lifespan=lifespan)

    @app.middleware("http")
    async def bound_body(request, call_next):
        length = request.headers.get("content-length", "" if request.method == "POST" else "0")
        if not length.isdecimal():
            return JSONResponse({"detail": "The request must have a content-length."}, 411)
        if int(length) > limits.body(shape):
            return JSONResponse({"detail": f"The body must have at most {limits.body(shape)} bytes."}, 413)
        return await call_next(request)

    @app.exception_handler(RequestValidationError)
    async def refuse(request, error):
        first = error.errors()[0]  # without what was sent
        return JSONResponse({"detail": {"where": first["loc"], "what": first["msg"]}}, 422)

    @app.get("/health")
    async def health():
        if not batcher.is_alive:
            raise HTTPException(503, "The model does not answer.")
        return {"status": "ok", "waiting": batcher.n_waiting}

    @app.post("/predict_proba")
    async def predict_proba(body: request_model(shape, limits), request: Request):
        X = np.array(body.rows, dtype=dtype)
        client = request.client.host
        before, near = near_duplicates.count(client, X)
        if before < limits.near_duplicates <= near:
            log.warning("%s has sent %s near-duplicates among its last rows", client, near)
        try:
            proba = await batcher.submit(X)
        except asyncio.QueueFull:
            raise HTTPException(429, "Too many requests are waiting.", {"Retry-After": "1"}) from None
        except UnansweredError as error:
            log.error("%s rows were not answered: %s", len(X), error)
            raise HTTPException(500, "These rows could not be answered.") from None
        return {"label": [classes[column] for column in proba.argmax(axis=1)], "proba": proba.tolist()}

    return app


def named_class(text):
    """Return the class that ``module:Class`` names."""
    module, _, name = text.partition(":")
    if not (module and name):
        raise argparse.ArgumentTypeError(f"must be module:Class, such as make_model:Net. Got {text!r}")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} can't be imported: {error}") from error


def main():
    """Load the folder and serve it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="what save_pretrained has written")
    parser.add_argument(
        "--classes", nargs="*", type=named_class, default=[], help="classes of your own in the model, as module:Class"
    )
    parser.add_argument(
        "--key-file", help="file of the keys; SKDIFFENCE_KEY_FILE or noise.key in the folder if not given"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    key_file, classes = options.key_file, options.classes
    try:
        app = make_app(DefendedClassifier.from_pretrained(options.folder, classes=classes, key_file=key_file))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    how = {"access_log": False, "server_header": False, "limit_concurrency": CONNECTIONS}
    uvicorn.run(app, host=options.host, port=options.port, **how)


if __name__ == "__main__":
    main()
