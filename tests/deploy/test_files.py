"""What people deploy with: files hold what their readers accept, and commands that exist."""

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from berrante.cli import app
from berrante.settings.loading import variables
from berrante.settings.model import Settings

ROOT = Path(__file__).parents[2]
KNOWN = {name for name, _ in variables()} | {"REDIS_URL", "DATABASE_URL"}
#: Settings of people's log-in.
PEOPLE = {"BERRANTE_ENV", "BERRANTE_SECRET_KEY", "BERRANTE_TRUSTED_PROXIES"}
STOP_S = Settings.model_fields["stop_deadline_ms"].default / 1_000
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
PAGES = ["deploy", "operations", "troubleshooting", "metrics"]


def complaint_about(words: list[str]) -> str | None:
    """Say what is wrong with the command's words, None if nothing is."""
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        word = words.pop(0) if words else ""
        if word not in command.commands:
            return f"no command {word!r}"
        command = command.commands[word]
    options = {name for option in command.params for name in option.opts if name.startswith("-")}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"no option {unknown[0]}" if unknown else None


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def known(names: set[str]) -> set[str]:
    """Leave out what is not ours, and what is known."""
    return {name for name in names if name.startswith(("BERRANTE_", "REDIS_", "DATABASE_"))} - KNOWN - PEOPLE


def dockerfile() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_is_built_in_stages_from_pinned_requirements() -> None:
    steps = dockerfile()
    stages = [rest for verb, rest in steps if verb == "FROM"]
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.1\d-slim-\w+( AS build)?", stage) for stage in stages)
    last = steps[max(index for index, (verb, _) in enumerate(steps) if verb == "FROM") :]
    assert not [rest for verb, rest in last if verb == "RUN" and ("pip" in rest or "apt" in rest)]
    installs = [rest for verb, rest in steps if "requirements/" in rest and verb == "RUN"]
    assert all(rest.count("-r requirements/") == rest.count("--require-hashes") for rest in installs)


def test_the_image_copies_what_exists_and_dockerignore_lets_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for verb, rest in dockerfile():
        if verb == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    steps = dockerfile()
    assert [rest for verb, rest in steps if verb == "USER"] == ["10001:10001"]
    (health,) = [rest for verb, rest in steps if verb == "HEALTHCHECK"]
    set_ = dict(pair.split("=", 1) for verb, rest in steps if verb == "ENV" for pair in shlex.split(rest))
    assert f"127.0.0.1:{set_['BERRANTE_HEALTH_PORT']}/health/live" in health
    assert known(set(set_)) == set()
    (entry,) = [rest for verb, rest in steps if verb == "ENTRYPOINT"]
    (command,) = [rest for verb, rest in steps if verb == "CMD"]
    assert yaml.safe_load(entry) == ["berrante"]
    assert complaint_about(yaml.safe_load(command)) is None
    ports = next(rest for verb, rest in steps if verb == "EXPOSE").split()
    assert ports == [str(Settings.model_fields["port"].default), set_["BERRANTE_HEALTH_PORT"]]


def test_compose_starts_everything_in_order() -> None:
    compose = loaded("compose.yaml")
    services = compose["services"]
    assert set(services) == {"valkey", "postgres", "migrate", "web", "worker"}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "migrate" else "service_healthy"
            assert (other in services, how["condition"]) == (True, wanted), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
    for name in ("migrate", "web", "worker"):
        service = services[name]
        assert complaint_about(service["command"]) is None
        assert known(set(service["environment"])) == set()
        assert int(service["stop_grace_period"].removesuffix("s")) > STOP_S
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        for engine in ("valkey", "postgres"):
            assert f"@{engine}:" in "".join(service["environment"].values())
    valkey = services["valkey"]["command"]
    assert valkey[valkey.index("--maxmemory-policy") + 1] == "noeviction"
    assert valkey[valkey.index("--appendonly") + 1] == "yes"
    assert all(":latest" not in service["image"] and ":" in service["image"] for service in services.values())


def test_compose_takes_every_secret_from_the_example_and_none_is_written_down() -> None:
    text = (ROOT / "compose.yaml").read_text()
    example = set(re.findall(r"^#?(\w+)=", (ROOT / "deploy/berrante.env.example").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked <= example
    assert known(example) == set()
    for name in ("VALKEY_PASSWORD", "POSTGRES_PASSWORD", "BERRANTE_SECRET_KEY"):
        assert f"${{{name}:?" in text, "an empty password must stop the start"
    written = re.findall(r"^(\w+)=(\S+)$", (ROOT / "deploy/berrante.env.example").read_text(), re.MULTILINE)
    assert written == [("BERRANTE_KEEP_MESSAGES_DAYS", "0")]


def test_render_has_fields_that_render_knows_with_values_that_it_takes() -> None:
    blueprint = loaded("render.yaml")
    assert set(blueprint) == {"services", "databases", "envVarGroups"}
    by_type = {service["type"]: service for service in blueprint["services"]}
    assert set(by_type) == {"web", "worker", "keyvalue"}
    common = {"type", "name", "region", "plan"}
    of_docker = {"runtime", "dockerCommand", "maxShutdownDelaySeconds", "envVars"}
    fields = {
        "web": common | of_docker | {"preDeployCommand", "healthCheckPath"},
        "worker": common | of_docker,
        "keyvalue": common | {"maxmemoryPolicy", "ipAllowList"},
    }
    for kind, service in by_type.items():
        assert set(service) <= fields[kind]
        assert service["region"] in {"oregon", "ohio", "virginia", "frankfurt", "singapore"}
        assert service["plan"] in {"starter", "standard", "pro"}
    assert (by_type["keyvalue"]["maxmemoryPolicy"], by_type["keyvalue"]["ipAllowList"]) == ("noeviction", [])
    assert len({service["region"] for service in [*blueprint["services"], *blueprint["databases"]]}) == 1
    for kind in ("web", "worker"):
        service = by_type[kind]
        assert STOP_S < service["maxShutdownDelaySeconds"] <= 300
        for command in (service["dockerCommand"], service.get("preDeployCommand", "berrante migrate")):
            program, *words = shlex.split(command)
            assert program == "berrante"
            assert complaint_about(words) is None
    assert by_type["web"]["healthCheckPath"] == "/health/ready"


def test_render_refers_only_to_what_it_has() -> None:
    blueprint = loaded("render.yaml")
    services = {(service["type"], service["name"]) for service in blueprint["services"]}
    databases = {database["name"] for database in blueprint["databases"]}
    groups = {group["name"]: group["envVars"] for group in blueprint["envVarGroups"]}
    found: set[str] = set()
    for owner in [*blueprint["services"], *blueprint["envVarGroups"]]:
        for variable in owner.get("envVars", []):
            if "fromGroup" in variable:
                assert variable["fromGroup"] in groups
                continue
            (source,) = set(variable) - {"key"}
            assert source in {"value", "generateValue", "fromService", "fromDatabase"}
            if source == "fromService":
                assert (variable[source]["type"], variable[source]["name"]) in services
            elif source == "fromDatabase":
                assert variable[source]["name"] in databases
            elif source == "value":
                assert isinstance(variable[source], str), "Render wants values in quotes"
                assert "SECRET" not in variable["key"]
            found.add(variable["key"])
    assert known(found) == set()
    assert {"REDIS_URL", "DATABASE_URL", "BERRANTE_SECRET_KEY"} <= found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_run_what_exists_as_a_user_without_rights(path: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]  # systemd's words have capitals
    unit.read_string(path.read_text())
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/berrante/bin/berrante"
    assert complaint_about(words) is None
    assert (service["User"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("berrante", "yes", "strict")
    assert service["EnvironmentFile"] == "/etc/berrante/berrante.env"
    assert known({pair.split("=")[0] for pair in service["Environment"].split()}) == set()
    if service["Type"] != "oneshot":
        assert (service["Restart"], service["KillSignal"]) == ("always", "SIGTERM")
        assert int(service["TimeoutStopSec"]) > STOP_S
        assert unit["Unit"]["Requires"] == "berrante-migrate.service"
        assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_there_are_units_for_each_kind_of_process() -> None:
    assert [path.name for path in UNITS] == [
        "berrante-migrate.service", "berrante-web.service", "berrante-worker@.service",
    ]  # fmt: skip


def test_every_alert_leads_to_what_to_do_about_it() -> None:
    headings = {
        line.removeprefix("### ") for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines()
        if line.startswith("### ")
    }  # fmt: skip
    (group,) = loaded("deploy/alerts.yaml")["groups"]
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["runbook"] == f"docs/troubleshooting.md#{rule['alert'].lower()}"
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert {rule["alert"] for rule in group["rules"]} == headings


@pytest.mark.parametrize("page", PAGES)
def test_commands_on_a_page_exist_with_their_options(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text()
    commands = re.findall(r"`berrante ([^`…]+)`", text) + re.findall(r"^berrante ([^#\n]+)", text, re.MULTILINE)
    complaints = {command: complaint_about(shlex.split(command)) for command in commands}
    assert {command: said for command, said in complaints.items() if said} == {}


@pytest.mark.parametrize("page", PAGES)
def test_variables_on_a_page_exist(page: str) -> None:
    named = set(re.findall(r"\bBERRANTE_[A-Z_]+[A-Z]\b", (ROOT / f"docs/{page}.md").read_text()))
    assert known(named) == set()
