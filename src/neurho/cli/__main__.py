"""The command as a module: `python -m neurho.cli`, for places where no script is installed."""

from neurho.cli import main

if __name__ == "__main__":
    main()
