"""Commands whose options are those of what their first argument names: fields of a class of settings each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from ..errors import SuperDiffError

#: What `--ray` is.
RAY = "have the work done by a Ray cluster: HOST:PORT as ray start prints it, or auto for one on this machine"
#: The parameter of a command's function that takes the settings.
SETTINGS = "settings"


def _options(settings: type[Any]) -> list[Field[Any]]:
    return [field for field in fields(settings) if "help" in field.metadata]


def _parameter(field: Field[Any], kind: Any) -> Parameter:
    """A keyword of a command's function that typer makes an option of; None where it is not given."""
    told, default = field.metadata, field.default
    shown = False if default is MISSING or default is None or default is False else str(default)
    info = typer.Option(help=told["help"], min=told["least"], max=told.get("most"), show_default=shown)
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info])


def with_settings(
    function: Callable[..., None], settings: type[Any] | None, names: Sequence[str] = ()
) -> Callable[..., None]:
    """The function of a command, for typer: in the place of its `settings`, a keyword for each option of theirs.

    Args:
        function: takes the name that decides first, and `settings` among the rest.
        settings: a dataclass; None for no options of its own.
        names: that may be named, for the help.
    """
    hints = get_type_hints(function, include_extras=True)
    first, *rest = signature(function).parameters.values()
    own = (
        [] if settings is None else [_parameter(one, get_type_hints(settings)[one.name]) for one in _options(settings)]
    )
    common = [
        one.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in rest if one.name != SETTINGS
    ]
    named = Parameter(
        first.name, Parameter.KEYWORD_ONLY, annotation=Annotated[str, typer.Argument(help=", ".join(names) or None)]
    )

    def call(**given: Any) -> None:
        chosen = {one.name: value for one in own if (value := given.pop(one.name)) is not None}
        function(**given, **{SETTINGS: None if settings is None else settings(**chosen)})

    parameters = [named, *own, *common]
    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call


def without_settings(function: Callable[..., None]) -> Callable[..., None]:
    """The function of a command of which nothing is named yet."""
    return with_settings(function, None)


class NamedCommand(TyperCommand):
    """A command that becomes one with the options of what is named, once it knows the words that were typed."""

    #: The function of the command.
    function: Callable[..., None]

    @abstractmethod
    def names(self) -> Sequence[str]:
        """All that may be named; nothing large is imported."""

    @abstractmethod
    def settings_of(self, name: str) -> type[Any]:
        """The settings of what is named; raises SuperDiffError where there is no such thing."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """As typer's, of the command with its options."""
        typed, names = list(args), self.names()
        first = [word for word in typed[:1] if not word.startswith("-")]
        name = next((word for word in typed if word in names), first[0] if first else None)
        settings = None if name is None else self.settings_of(name)
        # An application of one command is that command.
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command()(with_settings(type(self).function, settings, names))
        try:
            return typer.main.get_command(alone).make_context(info_name, args, parent, **extra)
        except Exception:  # errors of typer's, whose classes differ by version; each goes on, or a better sentence
            if name is not None:
                self._refuse_others(name, typed)
            raise

    def _refuse_others(self, name: str, typed: Sequence[str]) -> None:
        """Raise SuperDiffError for an option that belongs to something else."""
        words = [word[2:].partition("=")[0].replace("-", "_") for word in typed if word.startswith("--")]
        # Nothing else is imported for an option that all have: `--help` ends in here, too.
        common = {*signature(type(self).function).parameters, "help"}
        known = common | {field.name for field in _options(self.settings_of(name))}
        for word in [word for word in words if word not in known]:
            owners = {
                other: field.metadata.get("elsewhere", "")
                for other in self.names()
                for field in _options(self.settings_of(other))
                if field.name == word
            }
            if owners:
                sentence = next(iter(owners.values())) or (
                    f"--{word.replace('_', '-')} is an option of {' and '.join(owners)}; leave it out for '{{name}}'."
                )
                raise SuperDiffError(sentence.format(name=name))
