"""All that is in a Redis, for tests that look for what must not be there."""

from berrante.engine import Connection


async def everything_in(connection: Connection, match: str = "*") -> list[bytes]:
    """Every key and every value that is in Redis, or of the keys that match."""
    redis, found = connection.redis, []
    async for key in redis.scan_iter(match, count=1_000):
        kind = (await redis.type(key)).decode()
        read = {
            "string": redis.get,
            "list": lambda key: redis.lrange(key, 0, -1),
            "set": redis.smembers,
            "zset": lambda key: redis.zrange(key, 0, -1),
            "hash": redis.hgetall,
            "stream": redis.xrange,
        }[kind]
        value = await read(key)
        found += [key, value if isinstance(value, bytes) else repr(value).encode()]
        if kind == "hash":
            found += [part for pair in value.items() for part in pair]
        elif kind == "stream":
            found += [part for _, fields in value for pair in fields.items() for part in pair]
        elif kind != "string":
            found += list(value)
    return found
