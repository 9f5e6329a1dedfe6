"""The shapes of what the API says, for its description at /openapi.json. A test holds them against the records."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A JSON object with these members and no others."""

    model_config = ConfigDict(extra="forbid")


Share = Annotated[float, Field(ge=0, le=1)]
Expression = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


class Probabilities(Record):
    """The seven expressions; their sum is 1."""

    angry: Share
    disgust: Share
    fear: Share
    happy: Share
    sad: Share
    surprise: Share
    neutral: Share


class Crowd(Probabilities):
    """Of ten people, the share that would give each answer; their sum is 1."""

    contempt: Share
    unknown: Share
    not_a_face: Share


Point = tuple[float, float]


class Face(Record):
    """One face: where it is, and what people would call its expression."""

    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the upright picture"
    )
    detection_score: Share | None
    landmarks: tuple[Point, Point, Point, Point, Point] | None = Field(
        description="x, y of left eye, right eye, nose, left and right corner of the mouth as the viewer sees them"
    )
    expression: Expression = Field(description="the most probable of the seven")
    probability: Share = Field(description="the probability of `expression`")
    unclear: Share = Field(
        description="the share of people who could not tell, or would say that this is no face"
    )
    probabilities: Probabilities
    crowd: Crowd


class Picture(Record):
    """The faces of one picture; none when nobody is there. The same record as `mien predict --format json`."""

    source: str
    width: int | None
    height: int | None
    error: str | None = Field(description="why the picture could not be read, or null")
    faces: list[Face]


class TrackedFace(Face):
    """A face of one frame that is known from the frames before."""

    track: int = Field(ge=1, description="the number of the face, the same through a scene")
    smoothed_expression: Expression
    smoothed_probability: Share
    smoothed_unclear: Share
    smoothed: Probabilities = Field(description="`probabilities`, calmed over time")


class Frame(Record):
    """The faces of one frame of a video, one line each. The same record as in `mien video --out x.jsonl`."""

    source: str
    frame: int = Field(ge=0)
    time: float = Field(description="seconds from the beginning")
    cut: bool = Field(description="whether a new scene begins, which ends all tracks")
    width: int
    height: int
    faces: list[TrackedFace]


class Explanation(Record):
    """Which parts of a face the share of an expression rests on (see mien.explain)."""

    face: int
    expression: Expression
    probability: Share
    crop: list[list[int]] = Field(description="the face in grey, 0 to 255, rows from above")
    map: list[list[float]] = Field(
        description="of the same size: how much of the share is lost where it is covered; below 0, is won"
    )


class Model(Record):
    """An expression model."""

    name: str
    loaded: bool = Field(description="whether it is the one that reads here")
    sha256: str
    size: int | None = Field(description="side in pixels of the faces it reads; null when it is not loaded")


class Models(Record):
    """The models that are here, and what can be done with the one that reads."""

    models: list[Model]
    detector: str
    expressions: list[str]
    crowd: list[str]
    video: bool = Field(description="whether videos can be read: the extra `video` is installed")
    limits: dict[str, int | float]


class State(Record):
    """How the service is."""

    status: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
