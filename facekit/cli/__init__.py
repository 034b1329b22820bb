"""The command ``facekit``: a thin layer over the public API, one file per command.

Each command's module has ``SUMMARY``, ``add_options(parser)`` and ``run(args)``; :mod:`facekit.cli.main` joins them.
"""
