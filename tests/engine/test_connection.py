import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from berrante.engine import Connection
from berrante.engine.connection import is_unavailable


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("closed"),
        OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("READONLY You can't write against a read only replica."),
        ResponseError(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk"
        ),
        ConnectionRefusedError("refused"),
    ],
)
def test_the_servers_condition_is_worth_waiting_for(error: Exception) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize(
    "error", [ResponseError("WRONGTYPE Operation against a key"), ValueError("OOM"), KeyError("x")]
)
def test_a_wrong_call_is_not(error: Exception) -> None:
    assert not is_unavailable(error)


async def test_a_server_that_is_not_there_is_said_at_once() -> None:
    async with Connection.from_url("redis://127.0.0.1:1/0") as connection:
        with pytest.raises(RedisConnectionError):
            await connection.ping()


def test_another_kind_of_url_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        Connection.from_url("amqp://127.0.0.1")
