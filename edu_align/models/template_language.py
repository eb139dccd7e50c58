"""The language of chat templates, Jinja as transformers sets it up, and which names a template reads."""

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """`{% generation %}`, with which a template marks what the model says: its content."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def template_language() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])


def names_read(template: str) -> set[str] | None:
    """The names that a template is given by whoever renders it; None where it cannot be parsed."""
    try:
        return find_undeclared_variables(template_language().parse(template))
    except TemplateSyntaxError:
        return None
