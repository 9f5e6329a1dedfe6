"""Places for work that lasts, such as videos and cameras: so many at once, and no more."""

from collections.abc import Iterator
from contextlib import contextmanager

from mien.serve.engine import Engine
from mien.serve.metrics import Metrics
from mien.serve.problems import busy

_SECONDS = 10  # after which one who found no place may try again


class Places:
    """A number of places.

    Attributes:
        taken: how many are taken now.
    """

    def __init__(self, engine: Engine, metrics: Metrics, most: int, name: str, full: str) -> None:
        """Begins with all free.

        Args:
            engine: what does the work; while it is being stopped, no place is given.
            metrics: where refusals are counted.
            most: how many there are.
            name: what is full, for the metrics.
            full: what to say when none is free.
        """
        self.taken = 0
        self._engine, self._metrics = engine, metrics
        self._most, self._name, self._full = most, name, full

    def check(self) -> None:
        """Refuses early what `take` would refuse.

        Raises:
            ProblemError: none is free, or the service is being stopped.
        """
        self._engine.check_ready()
        if self.taken >= self._most:
            self._metrics.refused.labels(self._name).inc()
            raise busy(f"{self._full}: try again in {_SECONDS} s", _SECONDS)

    @contextmanager
    def take(self) -> Iterator[None]:
        """A place, until the block ends.

        Raises:
            ProblemError: none is free, or the service is being stopped.
        """
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
