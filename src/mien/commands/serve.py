"""`mien serve`: a page and an API on this computer."""

import os
import sys
import threading
import webbrowser
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from mien.console import complain
from mien.errors import ConfigError
from mien.prior import parse_prior
from mien.serve.limits import Limits

TOKEN_VARIABLE = "MIEN_TOKEN"


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open: bool = True,
    token: Annotated[str | None, Parameter(env_var=TOKEN_VARIABLE)] = None,
    insecure: Annotated[bool, Parameter(negative=())] = False,
    model: str = "base",
    detector_size: int = 640,
    threads: int | None = None,
    prior: str | None = None,
    limits: Annotated[Limits | None, Parameter(name="*")] = None,
) -> int:
    """Opens a page that reads photographs, a camera and videos; other programs may ask it too, see /docs.

    Nothing that is sent is stored. Ctrl-C ends it.

    Parameters
    ----------
    host
        Address to answer at. Any but this computer's own (127.0.0.1) needs a token.
    port
        Port to answer at; 0 takes one that is free.
    open
        Whether to open the page in the browser.
    token
        What clients must know: they send it as Authorization: Bearer TOKEN. Better given in the environment, as
        MIEN_TOKEN: a command line can be read by others on this computer.
    insecure
        Answers at any address without a token: everybody who can reach it can use it.
    model
        An expression model: base, nano, a folder that mien train made, or an .onnx file.
    detector_size
        Long side in pixels at which a picture is searched; larger finds smaller faces and takes longer.
    threads
        CPU threads to use; by default all.
    prior
        How often each expression is to be expected in the pictures: even, or a TOML or JSON file with a number
        for each. By default answers are left as the model was made.
    limits
        How much is taken.
    """
    try:
        from mien.serve.app import Service
        from mien.serve.engine import load_recognizer
        from mien.serve.server import bind, loopback, return_large_memory, run
        from mien.serve.shield import Rules
    except ImportError as error:
        raise ConfigError(f'serving needs {error.name}: pip install "mien[serve]"') from error
    limits = limits or Limits()
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise ConfigError(f"--token, {TOKEN_VARIABLE}: must be one or more ASCII letters, digits or signs")
    local = loopback(host)
    if not local and token is None and not insecure:
        raise ConfigError(
            f"--host {host}: others could use it; set {TOKEN_VARIABLE} to what they must know, or say --insecure"
        )
    listener = bind(host, port)
    return_large_memory()
    recognizer = load_recognizer(
        model,
        detector_size=detector_size,
        threads=threads,
        max_faces=limits.max_faces,
        max_pixels=limits.max_pixels,
        prior=parse_prior(prior),
    )
    shown = f"[{host}]" if ":" in host else host
    names = frozenset({"localhost", "127.0.0.1", "[::1]", shown}) if local else None
    service = Service(recognizer, model=model, limits=limits, rules=Rules(token, names, limits.idle_seconds))
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    # For the eyes of who started it, in no log; a browser does not send what follows #.
    secret = f"#token={quote(token, safe='')}" if token and sys.stdout.isatty() else ""

    def started() -> None:
        print(f"mien is at {address}{secret}\nCtrl-C ends it. Nothing that is sent is stored.", flush=True)
        if open and _can_open():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    try:
        run(service, listener, started)
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    return 0


def _can_open() -> bool:
    """Whether a browser with windows may be there; one in the terminal would get in the way."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
