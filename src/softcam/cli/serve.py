"""`softcam serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.errors import MissingExtraError


def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, model files or exported files.", metavar="RUN..."),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.")] = 8000,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of images to choose from; it is only read.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Table whose annotations are outlined; else the folder's table.csv."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="File that readers' cases are kept in; made if it is not there."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that requests must carry; or SOFTCAM_TOKEN."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name that the server is called by; may be repeated."),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Largest upload in MiB.")] = 64,
    max_pixels: Annotated[float, typer.Option(help="Most pixels of an image, in millions.")] = 50.0,
    max_cases: Annotated[float, typer.Option(help="Largest case log in GiB.")] = 20.0,
    rate: Annotated[float, typer.Option(help="Requests a second of one client.")] = 50.0,
    queue: Annotated[int, typer.Option(help="Requests in work at a time.")] = 64,
    batch: Annotated[int, typer.Option(help="Images that a model runs at once.")] = 8,
) -> int:
    """Serve models over HTTP: an API, and a page to read cases on.

    Example: softcam serve runs/fundus --folder data/fundus/images --cases cases.db
    """
    try:
        from softcam.web.server import serve as run
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(
            f"softcam serve needs {error.name}, which is not installed; run: "
            "pip install softcam[web]"
        ) from error
    from softcam.web.limits import Limits
    from softcam.web.models import open_models
    from softcam.web.settings import Settings, read_token

    limits = Limits(
        body=max_body << 20,
        pixels=int(max_pixels * 1e6),
        log=int(max_cases * (1 << 30)),
        rate=rate,
        burst=max(1, int(2 * rate)),
        queue=queue,
        batch=batch,
    )
    settings = Settings(
        host=host,
        port=port,
        token=read_token(token_file),
        folder=folder,
        table=table,
        cases=cases,
        allowed_hosts=tuple(allow_host or ()),
        limits=limits,
    )
    models = open_models(runs)

    def say(url: str) -> None:
        typer.echo(f"Serving {', '.join(models)} at {url} (Ctrl-C stops)")

    run(models, settings, say)
    typer.echo("Stopped.")
    return 0
