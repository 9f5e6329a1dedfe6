import numpy as np

from mien.evaluate.faces import confident_mistakes, least_certain, most_disputed, most_typical

SHARES = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.55, 0.45], [0.99, 0.01]])
LABELS = np.array([0, 1, 0, 0, -1])


def test_the_surest_wrong_answers_come_first_and_those_not_counted_never():
    assert confident_mistakes(SHARES, LABELS).tolist() == [2, 1]
    assert confident_mistakes(SHARES, LABELS, count=1).tolist() == [2]


def test_the_least_certain():
    assert least_certain(SHARES, count=2).tolist() == [3, 1]


def test_the_most_typical_are_right():
    assert most_typical(SHARES, LABELS, 0).tolist() == [0, 3]
    assert most_typical(SHARES, LABELS, 1).tolist() == []


def test_the_most_disputed_are_those_where_people_differ_most():
    votes = np.array([[10, 0, 0], [4, 3, 3], [9, 1, 0], [0, 0, 0]], np.uint8)
    assert most_disputed(votes).tolist() == [1, 2]
