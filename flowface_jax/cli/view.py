"""Look at tracks in the browser, over their videos; on this computer, over SSH, or while a fit goes on."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from flowface_jax.errors import InputError
from flowface_jax.heads.source import load_head
from flowface_jax.viewing.browser.serving import LOCAL, address_lines, open_browser
from flowface_jax.viewing.browser.viewing import COMPONENTS, PORT, view


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface view`."""
    parser.add_argument("tracks", nargs="+", metavar="TRACK", help="folders that flowface track or flowface fit wrote")
    parser.add_argument(
        "--video",
        action="append",
        default=[],
        metavar="CLIP",
        help="show the tracked clip; one per camera, for all tracks or for each in turn",
    )
    parser.add_argument(
        "--head",
        action="append",
        default=None,
        metavar="HEAD",
        help="the head of the tracks: 'generic' (built in, the default), or its path; once, or once per track",
    )
    parser.add_argument(
        "--alignment",
        action="append",
        default=[],
        metavar="FILE",
        help="what was fitted, where TRACK does not hold it; one per track",
    )
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="where to serve; 0 for any that is free")
    parser.add_argument("--host", default=LOCAL, help="who can look: by default this computer; 0.0.0.0 for all")
    parser.add_argument(
        "--live", action="store_true", help="wait for the track, and follow a fit that was started with --live"
    )
    parser.add_argument("--no-open", action="store_true", help="only say the address, open no window")
    parser.add_argument(
        "--components", type=int, default=COMPONENTS, metavar="N", help="sliders of identity and of expression"
    )


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    if options.components < 0:
        raise InputError(f"--components: expected 0 or more, found {options.components}")

    def started(server: Any) -> None:
        lines = address_lines(options.host, server.get_port())
        # The address is the command's result: it is said even where everything else is not.
        sys.stdout.write("\n".join(lines[:1] if options.quiet else [*lines, "Ctrl-C ends it"]) + "\n")
        sys.stdout.flush()
        if not options.no_open:
            open_browser(lines[0])

    try:
        view(
            options.tracks,
            [load_head(name) for name in options.head or ["generic"]],
            videos=options.video,
            alignments=options.alignment,
            host=options.host,
            port=options.port,
            live=options.live,
            components=options.components,
            started=started,
        )
    except KeyboardInterrupt:
        # Interrupting is how looking ends.
        return
