"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded engines' data (BERRANTE_DATA_DIR).", show_default=False),
]
Host = Annotated[
    str | None, typer.Option("--host", help="Address to listen on (BERRANTE_HOST).", show_default="127.0.0.1")
]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0: any (BERRANTE_PORT).", show_default="8000")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
