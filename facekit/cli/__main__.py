"""``python -m facekit.cli``: the command if its script is not on the path."""

import sys

from facekit.cli.main import main

sys.exit(main())
