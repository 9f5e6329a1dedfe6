"""How much the service takes: each limit is an option of `mien serve`, with a default that is safe."""

import math
from dataclasses import dataclass, fields
from typing import Final

from mien.errors import ConfigError

FRAMES_A_SECOND: Final = 120
"""Frames of a video that are read, for each of the seconds that it may last."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them together, may ask for.

    At worst, what is sent takes about as many bytes of memory as these together:

    - 3 × `max_pending_bytes`: a body is there twice while it is put together, and a form, with what its parser
      gathers, three times while it is taken apart into files;
    - 3 × `max_pixels` for each picture that is decoded: `max_batch` + 2, one for each of `max_sockets`, and one
      for each explanation, of which the queue takes `max_queue` / 4;
    - 60 × `max_pixels` for two pictures being decoded (22 each, WebP with transparency) and those being searched;
    - 50 × `max_pixels` for each of `max_videos`: 20 for a few frames, and 30 for some twenty that H.264's decoder
      keeps, whose frames may have 8.4 million pixels more before they are refused. Codecs with finer colours keep
      more bytes a pixel.

    Attributes:
        max_bytes: bytes of a picture.
        max_pixels: pixels of a picture, checked before it is decoded.
        max_faces: faces read in a picture; the surest are kept.
        max_files: pictures in one request.
        max_queue: pictures that are waited for at once; more are answered 503.
        max_batch: pictures that are read in one go, whoever sent them.
        max_pending_bytes: bytes of all bodies that are held at once; more are answered 503.
        max_video_bytes: bytes of a video, which is held in memory.
        max_video_seconds: seconds of a video that are read, with 120 frames for each of them at most.
        max_videos: videos that are read at once.
        max_frame_bytes: bytes of a frame of the camera.
        max_sockets: cameras that are connected at once.
        max_connections: network connections that are open at once.
        idle_seconds: seconds after which a client that sends nothing, or does not read its answer, is left.
        min_bytes_per_second: a client that sends or reads slower is left, once that has cost `idle_seconds`.
        transfer_seconds: seconds that an upload may take, and that reading a video waits for its client.
        shutdown_seconds: seconds that requests in progress have to end when the service is stopped.
    """

    max_bytes: int = 20 << 20
    max_pixels: int = 25_000_000
    max_faces: int = 100
    max_files: int = 16
    max_queue: int = 16
    max_batch: int = 8
    max_pending_bytes: int = 256 << 20
    max_video_bytes: int = 100 << 20
    max_video_seconds: float = 600.0
    max_videos: int = 1
    max_frame_bytes: int = 1 << 20
    max_sockets: int = 4
    max_connections: int = 256
    idle_seconds: float = 20.0
    min_bytes_per_second: int = 20_000
    transfer_seconds: float = 300.0
    shutdown_seconds: int = 10

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ConfigError(f"--{field.name.replace('_', '-')} {value}: choose a number above 0")
        if self.max_files > self.max_queue:
            raise ConfigError(
                f"--max-files {self.max_files}: is more than --max-queue {self.max_queue}, so such a request "
                "would never be taken"
            )
