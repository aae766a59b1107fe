"""What all sub-commands share: the socket, and errors as one line. Slow imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collab_sdk import ControlClient, Transport

_SOCKET = f"{__name__}.socket"
_INTERRUPTED = 130  # as of a shell: 128 + SIGINT


def _remember(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        ctx.meta[_SOCKET] = path


socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_remember,
    help="Socket of collabd (default: $COLLABD_SOCKET, else that of the user's own daemon, else that of the service).",
)


class Failure(click.ClickException):
    """What went wrong, as one line on stderr."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        from collab_sdk.text import plain

        click.echo(f"collabctl: {plain(self.message)}", file, err=file is None)


class Command(click.Command):
    """A sub-command: takes --socket, and fails in one line where the SDK or the file system refuses."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        socket_option(self)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises `Failure`."""
        from collab_sdk.errors import CollabError

        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the program that reads our output ended: click exits without a message
        except (CollabError, OSError) as error:
            raise Failure(str(error)) from error


class Commands(click.Group):
    """The root of the sub-commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a sub-command; after an interrupt, exit with the status that a shell expects."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(_INTERRUPTED)


def chosen_socket() -> Path | None:
    """The value of --socket; None: it was not given."""
    path: Path | None = click.get_current_context().meta.get(_SOCKET)
    return path


def given_transport() -> Transport | None:
    """The transport to use instead of a socket: the click object that the command's caller, such as a test, passed."""
    transport: Transport | None = click.get_current_context().obj
    return transport


def client(timeout_s: float = 60) -> ControlClient:
    """The client of the daemon behind --socket. `infer` has its own, which takes longer to import."""
    from collab_sdk import ControlClient

    return ControlClient(chosen_socket(), timeout_s, transport=given_transport())
