"""What Prometheus is told at /metrics: how much was asked and read, and how long it took. Never what."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began: half of all lines, and nobody asks

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The measures of one service, in a registry of their own.

    Attributes:
        requests: answers, by route, method and status.
        seconds: how long answers took, by route.
        refused: work that was refused for want of room, by what was full.
        queue: pictures that are waited for.
        batch: pictures that were read in one go.
        pictures: pictures, by outcome: read or unreadable.
        faces: faces read in pictures.
        frames: frames of videos and cameras, by origin and outcome.
        sockets: cameras connected.
    """

    def __init__(self) -> None:
        """Begins with zeros."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "mien_requests", "Answers given", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "mien_request_seconds",
            "Seconds to an answer's end",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refused = Counter("mien_refused", "Work refused for want of room", ["full"], registry=registry)
        self.queue = Gauge("mien_queue_pictures", "Pictures that are waited for", registry=registry)
        self.batch = Histogram(
            "mien_batch_pictures",
            "Pictures read in one go",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.pictures = Counter("mien_pictures", "Pictures, by outcome", ["outcome"], registry=registry)
        self.faces = Counter("mien_faces", "Faces read in pictures", registry=registry)
        self.frames = Counter(
            "mien_frames", "Frames of videos and cameras", ["origin", "outcome"], registry=registry
        )
        self.sockets = Gauge("mien_live_sockets", "Cameras connected", registry=registry)

    def text(self) -> bytes:
        """All measures in Prometheus's text format."""
        return generate_latest(self.registry)
