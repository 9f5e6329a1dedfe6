"""The peer of benchmarks/serve.py: `fer` (PyPI) behind plain FastAPI, as its users would write it.

Runs under another Python than ours, which has fer, fastapi, uvicorn and python-multipart.
"""

import io
import socket
import threading

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fer.fer import FER  # type: ignore[import-not-found, unused-ignore]
from PIL import Image

app = FastAPI()
detector = FER(mtcnn=False)
# Its interpreter fails when two threads use it at once.
alone = threading.Lock()


@app.post("/v1/predict")
async def predict(request: Request) -> list[dict[str, object]]:
    """Reads one picture, in the thread pool as FastAPI does with plain functions."""
    from starlette.concurrency import run_in_threadpool

    body = await request.body()
    return await run_in_threadpool(read, body)


def read(body: bytes) -> list[dict[str, object]]:
    """The faces of one picture."""
    image = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))[:, :, ::-1]
    with alone:
        found = detector.detect_emotions(np.ascontiguousarray(image))
    return [{"box": [int(value) for value in face["box"]], "emotions": face["emotions"]} for face in found]


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
