"""What is wrong with a segment, and where."""

from berrante.messaging.errors import Invalid


class SegmentInvalid(Invalid):
    """A filter cannot be read; ``position`` is 1-based, ``expected`` says what could stand there."""

    code = "segment_invalid"

    def __init__(self, index: int, *, found: str, expected: str) -> None:
        self.position = index + 1
        self.expected = expected
        super().__init__("segment", f"position {self.position}: found {found}", remedy=f"expected {expected}")
        self.details = {"position": self.position, "expected": expected}
