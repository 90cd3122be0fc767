"""``python -m fproxy`` is the same program as the ``fproxy`` command."""

from fproxy.face.cli import main

if __name__ == "__main__":
    main()
