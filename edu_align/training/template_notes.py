"""What the chat template made of the records, counted as rows are made, and said once."""

from dataclasses import dataclass, field

from edu_align.models.chat_template import TemplateError
from edu_align.models.trained_turns import Encoded


@dataclass
class TemplateNotes:
    """`refused`: records that the template refuses, which are left out; `refusal`: the first one, and why.

    `changed`: turns, by role, with text that it leaves out or rewrites; `first_changed`: the first such record.
    `unopened`: trained turns that do not begin as generation does.
    """

    refused: int = 0
    refusal: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    first_changed: str = ""
    unopened: int = 0

    def refuse(self, error: TemplateError, record: str) -> None:
        self.refused += 1
        self.refusal = self.refusal or str(error.of(record))

    def add(self, encoded: Encoded, record: str) -> None:
        self.unopened += encoded.unopened
        for role in encoded.changed:
            self.changed[role] = self.changed.get(role, 0) + 1
            self.first_changed = self.first_changed or record

    def lines(self, records: str) -> list[str]:
        """A line each for what is left out and for what is changed. `records`: what they are called."""
        lines = []
        if self.refused:
            lines.append(f"edu_align: {self.refused} {records} are left out; the first: {self.refusal}")
        if self.changed:
            turns = ", ".join(f"{count} {role}" for role, count in self.changed.items())
            lines.append(
                f"edu_align: the chat template leaves out or rewrites text of {turns} turns (first: record "
                f"{self.first_changed}); the rest of them is used. preview=1 shows what is read"
            )
        if self.unopened:
            lines.append(
                f"edu_align: {self.unopened} trained turns do not begin as the chat template opens a reply, which it "
                "does with more, such as <think>: what the model reads when it answers is not what it was trained on. "
                "Arguments that the template reads may mend it, such as model.template_args={enable_thinking: false}"
            )
        return lines
