"""What is wrong with a content, and where."""

from berrante.messaging.errors import Invalid


class TemplateInvalid(Invalid):
    """A template cannot be used; ``line`` and ``column`` are 1-based and say where."""

    code = "template_invalid"

    def __init__(self, source: str, index: int, problem: str, *, field: str = "text") -> None:
        index = max(0, min(index, len(source)))
        before = source[:index]
        self.line = before.count("\n") + 1
        self.column = index - (before.rfind("\n") + 1) + 1
        self.problem = problem
        super().__init__(field, f"line {self.line}, column {self.column}", remedy=problem)
        self.details = {"line": self.line, "column": self.column}
        self._place = (source, index)

    def within(self, field: str) -> "TemplateInvalid":
        """Return the same error, said of a field."""
        source, index = self._place
        return TemplateInvalid(source, index, self.problem, field=field)


class RenderFailed(Exception):
    """A template could not be rendered for one contact: ``code`` is stable, the message is for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
