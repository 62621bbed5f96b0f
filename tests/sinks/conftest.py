"""Each tool keeps its things in a folder of the test, and reaches nothing."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("TRACKIO_DIR", tempfile.mkdtemp(prefix="trackio-"))  # read once, when trackio is imported
