"""Where the trials of a search are kept, so that several processes share them and a killed one is noticed."""

import contextlib
import time
from collections.abc import Iterator

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from mien.errors import ConfigError, MienError

DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)
"""What is raised when a database fails."""

HEARTBEAT, GRACE = 15, 90
"""Seconds between the signs of life of a trial, and without one after which it counts as killed."""


def open_storage(where: str) -> BaseStorage:
    """The storage of studies at a database's URL, or in a journal file; made where there is none.

    Raises:
        ConfigError: it is neither.
    """
    if "://" not in where:
        if not where.endswith(".log"):
            raise ConfigError(
                f"--storage {where}: neither a database's URL, as sqlite:///tune.db, nor a file ending in .log"
            )
        return JournalStorage(JournalFileBackend(where))
    # SQLite lets one process write at a time; the others wait so many seconds.
    options = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {}
    attempt = 0
    while True:
        attempt += 1
        try:
            return RDBStorage(
                where,
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=retry,
            )
        except (SQLAlchemyError, ImportError, RuntimeError, LookupError, ValueError) as error:
            # Two processes may make the tables at the same time.
            if attempt == 10 or not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise ConfigError(
                    f"--storage {_hidden(where)}: cannot be opened ({_first_line(error)})"
                ) from error
            time.sleep(0.5)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queues a trial again that did not end."""
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, trial)


@contextlib.contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Tells in one line what a database says that fails."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise MienError(
            f"--storage {_hidden(where)}: {_first_line(error)}; the same command goes on when it works again"
        ) from error


def _hidden(url: str) -> str:
    """A database's URL without its password; of what is no URL, the beginning."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return f"{url.partition('://')[0]}://…"
    hidden = parsed.set(query=dict.fromkeys(parsed.query, "***")) if parsed.query else parsed
    return hidden.render_as_string(hide_password=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
