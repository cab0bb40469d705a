"""The commands that run the service: ``up``, ``web``, ``worker``; and ``migrate``, which they may need."""

from typing import Annotated

import typer

from berrante.app import WORKED, Application, demo, processes
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir, HealthPort, Host, Port, worked_queues
from berrante.cli.welcome import tries, welcome
from berrante.settings import LogLevel, load

_NAMES = ", ".join(name.value for name in WORKED)


def up(
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="With a demo organization: a simulated number that people write to.")
    ] = False,
    host: Host = None,
    port: Port = None,
    health_port: HealthPort = None,
    data_dir: DataDir = None,
) -> None:
    """Run everything in this process: web side, all workers, and embedded engines where none are configured.

    Without REDIS_URL and DATABASE_URL, Valkey and PostgreSQL are started in the data folder. Ctrl-C ends all in order;
    a second one ends at once.
    """
    settings = load(host=host, port=port, health_port=health_port, data_dir=data_dir)
    log(settings)

    async def prepare(application: Application, url: str) -> None:
        if with_demo:
            access = await demo.prepare(application)
            output.print(welcome(access, url=url))
            output.print(tries(access, url=url), soft_wrap=True, highlight=False, markup=False)

    run(processes.up(settings, prepare=prepare))


def web(*, host: Host = None, port: Port = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run the web side alone: API, webhooks, health."""
    settings = load(host=host, port=port, health_port=health_port, data_dir=data_dir)
    log(settings)
    run(processes.web(settings))


def worker(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[QUEUE]...", help=f"Queues to work on: {_NAMES}. All if none.")
    ] = None,
    *,
    health_port: HealthPort = None,
    data_dir: DataDir = None,
) -> None:
    """Run workers, on as many machines as you like."""
    wanted = worked_queues(names)
    settings = load(health_port=health_port, data_dir=data_dir)
    log(settings)
    run(processes.work(settings, wanted))


def sidecar(*, data_dir: DataDir = None) -> None:
    """Run the Baileys sidecar, which holds numbers linked by QR; `up` runs it by itself. Needs berrante[baileys]."""
    settings = load(data_dir=data_dir)
    log(settings)
    run(processes.sidecar(settings))


def migrate(*, data_dir: DataDir = None) -> None:
    """Bring the database to the newest tables; harmless when they are there."""
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    output.print(f"the database is at revision {run(processes.migrate_database(settings))}")
