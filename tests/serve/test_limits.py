from dataclasses import fields

import pytest

from mien.errors import ConfigError
from mien.serve.limits import Limits


@pytest.mark.parametrize("field", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_would_take_nothing_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"--{field.replace('_', '-')} .*: choose a number above 0"):
        Limits(**{field: value})


def test_requests_that_could_never_be_taken_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="--max-files 9: is more than --max-queue 8"):
        Limits(max_files=9, max_queue=8)
