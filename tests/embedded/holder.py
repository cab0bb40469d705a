"""Started as a process of its own, to be killed: holds a data folder with both engines, writes, and waits for ever."""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from berrante.embedded import DataDir, EmbeddedPostgres, EmbeddedValkey


async def hold(folder: Path) -> None:
    with DataDir(folder) as data_dir:
        valkey, postgres = EmbeddedValkey(data_dir / "valkey"), EmbeddedPostgres(data_dir / "postgres")
        await valkey.start()
        await postgres.start()
        async with Redis.from_url(valkey.url) as redis:
            await redis.set("kept", "yes")
        connection = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
        await connection.execute("CREATE TABLE kept AS SELECT 'yes' AS answer")
        await connection.close()
        pids = {"self": os.getpid(), "valkey": valkey.pid, "postgres": postgres.pid}
        print(json.dumps(pids), flush=True)  # noqa: T201  its parent reads it
        await asyncio.to_thread(threading.Event().wait)


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1])))
