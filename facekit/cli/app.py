"""``facekit app``: a web page to try facekit."""

from __future__ import annotations

import argparse

SUMMARY = "a page to try, in the browser: generate, expressions, files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="port (default: 7860)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")


def run(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from facekit.app import serve

    serve(server_name=args.host, server_port=args.port, inbrowser=not args.no_browser)
