"""What Redis says of itself."""

from redis.exceptions import ResponseError

from berrante.engine import Connection
from berrante.engine.policy.server_fitness import flaws, server_of
from berrante.web.health.check import Report


async def redis_report(connection: Connection) -> Report:
    """Report version, memory, persistence, eviction policy, and what should be mended."""
    await connection.ping()
    try:
        info = await connection.redis.info()
    except ResponseError as error:  # an ACL user without INFO: it works all the same
        return {"details": f"not shown: {error}"}
    server = server_of(info)
    return {
        "server": server.kind,
        "version": server.version,
        "role": server.role,
        "clients": server.clients,
        "memory": {"used_bytes": server.used_bytes, "max_bytes": server.most_bytes},
        "persistence": {
            "append_only_file": server.has_append_file,
            "last_snapshot_at_s": server.snapshot_at_s,
            "last_writes_succeeded": server.writes_well,
        },
        "eviction_policy": server.policy,
        "warnings": [{"code": flaw.code, "message": flaw.text, "remedy": flaw.remedy} for flaw in flaws(server)],
    }
