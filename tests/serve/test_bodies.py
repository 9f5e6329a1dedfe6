import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.serve.bodies import UNNAMED, split_form
from mien.serve.engine import Upload
from mien.serve.problems import ProblemError

FORM = "multipart/form-data; boundary=xyz"


def part(content: bytes, disposition: str = 'form-data; name="files"; filename="a.jpg"') -> bytes:
    return b"--xyz\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


END = b"--xyz--\r\n"


@given(
    st.lists(st.binary(max_size=200).filter(lambda content: b"--xyz" not in content), min_size=1, max_size=4)
)
def test_files_come_out_as_they_went_in(contents: list[bytes]) -> None:
    body = b"".join(part(content) for content in contents) + END
    assert split_form(body, FORM, 4) == [Upload(content, "a.jpg") for content in contents]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="files"; filename="../../etc/passwd"', "../../etc/passwd"),
        ('form-data; name="x"; filename="gruß.jpg"', "gruß.jpg"),
        ("form-data; name=\"x\"; filename*=UTF-8''gru%C3%9F.jpg", "gruß.jpg"),
        ('form-data; name="x"; filename=""', UNNAMED),
        ('form-data; name="x"; filename="' + "n" * 1000 + '"', "n" * 255),
        ("form-data; name=\"x\"; filename*=utf-8''a; filename*0=b", UNNAMED),
        ("form-data; name=\"x\"; filename*=unicode_escape''a%5Cud800b", "a?b"),
    ],
)
def test_names_are_kept_for_the_record(disposition: str, name: str) -> None:
    (upload,) = split_form(part(b"1", disposition) + END, FORM, 1)
    assert upload.source == name


def test_fields_without_a_file_name_are_passed_over() -> None:
    body = part(b"note", 'form-data; name="note"') + part(b"1") + END
    assert split_form(body, FORM, 1) == [Upload(b"1", "a.jpg")]


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "message"),
    [
        (part(b"1") + END, "multipart/form-data", "bad-request", "boundary is missing"),
        (part(b"1") + END, "multipart/form-data; boundary=" + "x" * 71, "bad-request", "boundary is missing"),
        (b"", "multipart/form-data; boundary*=x; boundary*0=y", "bad-request", "boundary is missing"),
        (b"", f"multipart/form-data; boundary*{'9' * 5000}*=x", "bad-request", "boundary is missing"),
        (b"hello", FORM, "bad-request", "the form is damaged"),
        (part(b"1"), FORM, "bad-request", "cut short"),
        (part(b"1", 'form-data; name="x"') + END, FORM, "bad-request", "holds no file"),
        (part(b"1") * 3 + END, FORM, "too-large", "may hold 2 files"),
        (part(b"1", 'form-data; name="a"') * 19 + END, FORM, "too-large", "may have 18 parts"),
        (part(b"1", "x" * 9000) + END, FORM, "bad-request", "header size"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, content_type: str, kind: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as caught:
        split_form(body, content_type, 2)
    assert caught.value.kind == kind


@given(st.binary(max_size=300), st.data())
def test_whatever_comes_is_a_form_or_a_problem(noise: bytes, data: st.DataObject) -> None:
    body = part(b"1") + part(b"2") + END
    place = data.draw(st.integers(0, len(body)))
    with contextlib.suppress(ProblemError):
        split_form(body[:place] + noise + body[place + data.draw(st.integers(0, 5)) :], FORM, 4)
