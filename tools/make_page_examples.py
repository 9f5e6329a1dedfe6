"""Makes the pictures to click on the page of `mien serve` from those in examples/.

    python tools/make_page_examples.py

Each is written twice to src/mien/serve/static/examples: as it is read, and a small one to click on.
"""

from pathlib import Path

from PIL import Image, ImageOps

ROOT = Path(__file__).parent.parent
OUT = ROOT / "src" / "mien" / "serve" / "static" / "examples"
# Each with the place that its small picture shows, in shares of width and height.
PICTURES = {
    "astronaut.jpg": (0.42, 0.12),
    "cat.jpg": (0.5, 0.5),
    "obama_speech.jpg": (0.5, 0.2),
    "together.jpg": (0.5, 0.3),
}
LONG_SIDE = 800
SMALL = (320, 240)


def main() -> None:
    """Writes them."""
    OUT.mkdir(exist_ok=True)
    for name, centre in PICTURES.items():
        picture = Image.open(ROOT / "examples" / name).convert("RGB")
        small = ImageOps.fit(picture, SMALL, Image.Resampling.LANCZOS, centering=centre)
        small.save(OUT / name.replace(".jpg", "-small.jpg"), quality=80, optimize=True, progressive=True)
        picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
        picture.save(OUT / name, quality=84, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
