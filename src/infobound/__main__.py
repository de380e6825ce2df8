"""`python -m infobound` runs the command `infobound`."""

from infobound.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
