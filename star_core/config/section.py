"""What all sections of the parameters have in common, and how plug-ins have settings in them."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from star_core.errors import ConfigError, nearest
from star_core.registry import Registry

T = TypeVar("T")

_FIXES = {
    "greater_than_equal": "use at least {ge:.15g}",
    "greater_than": "use more than {gt:.15g}",
    "less_than_equal": "use at most {le:.15g}",
    "less_than": "use less than {lt:.15g}",
    "missing": "add it",
    "literal_error": "use {expected}",
    "finite_number": "write a finite number",
    "float_type": "write a number",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "string_type": "write text, in quotes where YAML reads a number",
    "tuple_type": "write a list",
    "list_type": "write a list",
    "dict_type": "write keys and values below it",
    "model_type": "write keys and values below it",
}
"""Kind of pydantic's error → what to do, with the bound that was broken."""


class Section(BaseModel):
    """A part of the experiment: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


class ExtensibleSection(Section):
    """A section that names plug-ins, each of which may have settings in it, under its own name.

    Attributes:
        plugins: What it may name.
    """

    model_config = ConfigDict(extra="allow")  # typed and checked below

    plugins: ClassVar[Registry[Any]]

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Its own keys, and the plug-ins that have settings."""
        return (*cls.model_fields, *cls.plugins.settings)

    @classmethod
    def add_plugin(cls, name: str, entry: T, settings: type[Section] | None) -> T:
        """Makes a plug-in known that the section may name.

        Raises:
            StarError: The name is taken, or the settings are no section of which every key has a default.
        """
        if settings is not None:
            if name in cls.model_fields:
                raise ConfigError(
                    "a plug-in with settings cannot have the name of a key of its section",
                    value=name,
                    fix="choose another name",
                )
            if not (isinstance(settings, type) and issubclass(settings, Section)):
                raise ConfigError(
                    "settings are a class derived from star_core.config.Section", value=settings, place=name
                )
            required = [key for key, field in settings.model_fields.items() if field.is_required()]
            if required:
                raise ConfigError(
                    "every setting of a plug-in has a default, by which runs that do not state it are made",
                    value=required,
                    place=name,
                    fix="give it one",
                )
        cls.plugins.add(name, entry, settings)
        return entry

    def settings_of(self, name: str, kind: type[SectionT]) -> SectionT:
        """The settings of a plug-in, as the class it was registered with; at their defaults if not stated."""
        return kind.model_validate((self.model_extra or {}).get(name, {}))

    @model_validator(mode="before")
    @classmethod
    def _check_settings(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        checked, section = dict(values), cls.plugins.place.partition(".")[0]
        for name in [key for key in values if key not in cls.model_fields]:
            kind, place = cls.plugins.settings.get(name), f"{section}.{name}"
            if kind is None:
                if isinstance(values[name], dict) and cls._names_missing(name, values):
                    continue  # an error for whoever needs the plug-in
                raise ConfigError("no such key", value=name, place=place, fix=nearest(name, cls.keys()))
            try:
                checked[name] = kind.model_validate(values[name])
            except ValidationError as error:
                raise refusal(error, kind, f"{place}.") from None
        return checked

    @classmethod
    def _names_missing(cls, name: str, values: dict[str, Any]) -> bool:
        """Whether the section elsewhere names a plug-in that is not installed here."""
        others = [value for key, value in values.items() if key != name]
        named = any(name == other or (isinstance(other, list | dict) and name in other) for other in others)
        return named and name not in cls.plugins.names()

    @model_serializer(mode="wrap")
    def _without_defaults(
        self, write: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Settings at their defaults are left out: a plug-in may grow some that stored runs did not have."""
        values: dict[str, Any] = write(self)
        for name, settings in (self.model_extra or {}).items():
            if isinstance(settings, Section):
                values[name] = settings.model_dump(mode=info.mode, exclude_defaults=True)
            if not values[name]:
                del values[name]
        return values


def refusal(error: ValidationError, section: type[BaseModel], place: str) -> ConfigError:
    """What pydantic found wrong with ``section``, as one message.

    Args:
        error: What it raised.
        section: Whose keys are valid.
        place: Put before the key.
    """
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        for part in location[:-1]:
            field = section.model_fields.get(part)
            annotation = field.annotation if field else None
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
        return ConfigError(
            "no such key",
            value=location[-1],
            place=f"{place}{'.'.join(location)}",
            fix=nearest(location[-1], section.model_fields),
        )
    rule = first["msg"][0].lower() + first["msg"][1:]
    where = f"{place}{'.'.join(location)}".rstrip(".")
    fix = _FIXES.get(first["type"], "correct the value").format(**first.get("ctx", {}))
    return ConfigError(rule, value=first.get("input"), place=where, fix=fix)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FROM_LIST = BeforeValidator(_as_tuple)
"""Marks a tuple: a file can only hold a list, which strict sections would refuse."""
