"""A page and an API on this computer: `mien serve`. Needs the extra `serve`."""
