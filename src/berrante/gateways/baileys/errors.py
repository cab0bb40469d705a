"""What can be wrong with the sidecar, apart from a send's own errors.

BaileysError
├── NodeMissing           there is no Node to run it with
├── SidecarUninstalled    its npm packages could not be installed
├── SidecarMisconfigured  it was given what it cannot start with
├── SidecarAway           it does not answer, or will not answer us
└── NumberUnknown         it has no such number: it was never connected
"""

from typing import ClassVar


class BaileysError(Exception):
    """Anything that this gateway raises on purpose, but for what a send raises."""

    code: ClassVar[str] = "baileys_error"


class NodeMissing(BaileysError):
    """There is no Node: install the extra ``berrante[baileys]``, or set ``BERRANTE_BAILEYS_NODE``."""

    code = "node_missing"

    def __init__(self) -> None:
        super().__init__("Baileys needs Node ≥ 22: pip install 'berrante[baileys]', or set BERRANTE_BAILEYS_NODE")


class SidecarUninstalled(BaileysError):
    """The sidecar's npm packages could not be installed."""

    code = "sidecar_uninstalled"

    def __init__(self, folder: object, *, reason: str) -> None:
        super().__init__(f"npm could not install the sidecar's packages in {folder}: {reason}")


class SidecarMisconfigured(BaileysError):
    """A setting that the sidecar cannot start with."""

    code = "sidecar_misconfigured"

    def __init__(self, name: str, problem: str, *, remedy: str) -> None:
        super().__init__(f"BERRANTE_BAILEYS_{name} {problem}: {remedy}")


class SidecarAway(BaileysError):
    """The sidecar does not answer, or not to us."""

    code = "sidecar_away"

    def __init__(self, url: str, *, reason: str) -> None:
        super().__init__(f"the sidecar at {url} {reason}: is 'berrante sidecar' running, with the same token?")
        self.url = url


class NumberUnknown(BaileysError):
    """No sidecar has the number: it was never connected."""

    code = "number_unknown"

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"instance {instance_id!r} was never connected: POST /v1/instances/{instance_id}/connect")
        self.instance_id = instance_id
