"""The payload that every side moves: some 90 bytes of JSON. Written out again in ``peers/node/bench.mjs``."""


def payload(index: int) -> dict[str, object]:
    """Return the data of the job with that number; the number is what deliveries are counted by."""
    return {"i": index, "organizationId": "o1", "to": "+5511999999999", "text": "Hello, your order is ready."}


def payloads(count: int) -> list[dict[str, object]]:
    return [payload(index) for index in range(count)]
