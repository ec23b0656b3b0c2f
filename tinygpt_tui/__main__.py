"""``python -m tinygpt_tui``."""

import sys

from tinygpt_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
