"""``python -m bidsapp`` is ``moviersa``."""

from bidsapp.cli.run import main

if __name__ == "__main__":
    main()
