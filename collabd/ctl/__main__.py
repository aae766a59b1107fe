"""`collabctl`: look at collabd and use it from a shell."""

from __future__ import annotations

import click

from collabd import __version__
from collabd.ctl.command import Commands, socket_option
from collabd.ctl.config import config
from collabd.ctl.doctor import doctor
from collabd.ctl.doors import doors
from collabd.ctl.explain import explain
from collabd.ctl.infer import infer
from collabd.ctl.models import models
from collabd.ctl.pair import pair
from collabd.ctl.profile import profile
from collabd.ctl.run import run
from collabd.ctl.simulate import simulate
from collabd.ctl.status import status
from collabd.ctl.top import top
from collabd.ctl.wait import wait
from collabd.ctl.watch import watch


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="collabctl")
@socket_option
def main() -> None:
    """Look at collabd and use it: what it knows, what it would do, and infer(image, budget) itself.

    Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
    """


for command in (status, top, profile, explain, infer, run, watch, models, simulate, wait, config, pair, doors, doctor):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="collabctl")
