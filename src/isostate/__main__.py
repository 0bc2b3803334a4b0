"""`python -m isostate`: the same as `isostate`."""

from isostate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
