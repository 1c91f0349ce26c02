"""The form of a subscription: what stands in its fields, and the schedule and recipients that they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from reporting_pipeline.console import field_labels, parameters
from reporting_pipeline.console.deployment import Form
from reporting_pipeline.console.forms import Entries, number
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.console.wording import DAYS, kind_words, type_words
from reporting_pipeline.domain.cron_fields import CronFields, expression_of, fields_of
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Recipient, RecipientKind, Subscription
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.report_types import offered_to

#: What most people want: its name, its words, and the fields of the form it fills in.
PRESETS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "monday": (
        "Mondays at 7",
        {
            "cadence": "weekly",
            "every_weeks": "",
            "day_of_week": "1",
            "time": "07:00",
            "business_days": "none",
        },
    ),
    "workdays": (
        "Every working day at 7",
        {"cadence": "daily", "time": "07:00", "business_days": "skip"},
    ),
    "first": (
        "The first working day of the month",
        {"cadence": "monthly", "day_of_month": "1", "time": "07:00", "business_days": "next"},
    ),
    "last": (
        "The last working day of the month",
        {"cadence": "monthly", "day_of_month": "31", "time": "07:00", "business_days": "previous"},
    ),
    "twice": (
        "The 1st and the 15th",
        {"cadence": "cron", "cron_expression": "0 7 1,15 * *", "window": "week", "business_days": "none"},
    ),
}
#: Each format and what it is for.
FORMATS: Mapping[str, tuple[str, str]] = {
    "pdf": ("PDF", "to read and to print"),
    "html": ("HTML", "to read on any screen, one file"),
    "xlsx": ("Excel (XLSX)", "every table with all its rows"),
    "csv": ("CSV", "every table as a file, in an archive"),
    "json": ("JSON", "figures and rows for a program"),
    "parquet": ("Parquet", "tables for data tools"),
    "dataset_json": ("Dataset-JSON", "tables as CDISC exchanges them"),
}
CADENCES: Mapping[str, str] = {
    "daily": "Every day",
    "weekly": "Every week",
    "monthly": "Every month",
    "cron": "By a cron expression",
}
BUSINESS_DAYS: Mapping[str, str] = {
    "none": "Send it all the same",
    "skip": "Leave it out",
    "next": "Send it on the next working day",
    "previous": "Send it on the working day before",
}
_SCHEDULE_FIELDS = (
    "cadence",
    "time",
    "timezone",
    "day_of_week",
    "day_of_month",
    "cron_expression",
    "window",
    "business_days",
    "holidays",
    "every_weeks",
    "starts_on",
    "ends_on",
)


#: What a schedule is without them: a form that was cut short is read as it will be saved.
_OTHERWISE = {"cadence": "weekly", "timezone": "UTC"}
_NOT_COMPARED = frozenset({"version", "built_time", "built_days", "built_dates", "built_from"})
#: Choices as the form calls them.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "cadence": CADENCES,
    "business_days": BUSINESS_DAYS,
    "day_of_week": {str(number): day for number, day in enumerate(DAYS, start=1)},
    "format": {name: words[0] for name, words in FORMATS.items()},
}


class Wish(Entries):
    """The form of a subscription."""

    labels = field_labels.SCHEDULE

    @classmethod
    def fresh(cls, visitor: Visitor) -> Wish:
        return cls(
            {
                "name": "",
                "description": "",
                "report_type": _first_type(visitor),
                "trials": (),
                "sites": "",
                "kinds": (),
                "cadence": "weekly",
                "time": "07:00",
                "timezone": visitor.user.timezone,
                "day_of_week": "1",
                "day_of_month": "1",
                "cron_expression": "",
                "window": "week",
                "business_days": "none",
                "holidays": "",
                "every_weeks": "",
                "starts_on": "",
                "ends_on": "",
                "format": "pdf",
                "recipients": "",
                "version": "",
                **parameters.blank(),
                **_built(""),
            }
        )

    @classmethod
    def of(cls, subscription: Subscription, owner: str) -> Wish:
        schedule = subscription.schedule.model_dump(mode="json")
        own = subscription.recipients == (Recipient(type="user", value=owner),)
        listed = "\n".join(f"{one.type}: {shown(one.value)}" for one in subscription.recipients)
        return cls(
            {
                "name": subscription.name,
                "description": subscription.description,
                "report_type": subscription.report_type,
                "trials": subscription.filters.trials,
                "sites": ", ".join(subscription.filters.sites),
                "kinds": subscription.filters.kinds,
                "format": subscription.format.value,
                "recipients": "" if own else listed,
                "version": str(subscription.version),
                **parameters.shown(subscription.report_type, subscription.parameters),
                **{name: str(schedule.get(name) or "") for name in _SCHEDULE_FIELDS},
                **_built(str(schedule.get("cron_expression") or "")),
            }
        )

    @classmethod
    def posted(cls, form: Form) -> Wish:
        single = (
            *("name", "description", "report_type", "sites", "format", "recipients", "version"),
            *_SCHEDULE_FIELDS,
            *parameters.blank(),
        )
        values: dict[str, Any] = {name: form.text(name) for name in single}
        values |= {name: values[name] or standing for name, standing in _OTHERWISE.items()}
        values["trials"] = form.all("trials")
        values["kinds"] = form.all("kinds")
        values |= {name: form.text(name) for name in ("built_time", "built_dates", "built_from")}
        values["built_days"] = form.all("built_days")
        return cls(values)

    def differing(self, standing: Entries) -> list[tuple[str, str, str]]:
        # The version differs by nature, and the builder's fields say what the expression says.
        typed = {name: value for name, value in self.values.items() if name not in _NOT_COMPARED}
        return Entries.differing(Wish(typed), standing)

    def said(self, name: str, value: object) -> str:
        if name == "kinds":
            return super().said(name, [kind_words(str(one)) for one in value])  # type: ignore[attr-defined]
        if name == "report_type":
            return type_words(str(value))
        return _WORDS.get(name, {}).get(str(value)) or super().said(name, value)

    def label(self, name: str) -> str:
        return parameters.label_of(name) or super().label(name)

    def fill(self, preset: str) -> None:
        """Put a preset's schedule in the form."""
        self.values |= PRESETS[preset][1]
        self.follow()

    def follow(self) -> None:
        """Bring the builder's fields to an expression that was typed since they were shown: that counts."""
        if self.values["cron_expression"] != self.values["built_from"]:
            self.values |= _built(self.values["cron_expression"])

    @property
    def beyond_builder(self) -> bool:
        """Whether there is an expression that the builder's fields cannot say; they stand empty then."""
        expression = self.values["cron_expression"]
        return bool(expression) and fields_of(expression) is None

    def build(self) -> None:
        """Put the expression of the builder's fields in the form."""
        days = tuple(int(day) for day in self.values["built_days"] if day in tuple("1234567"))
        dates = tuple(part.upper() for part in self.values["built_dates"].replace(",", " ").split())
        try:
            self.values["cron_expression"] = expression_of(
                CronFields(self.values["built_time"] or "07:00", days, dates)
            )
            self.values["cadence"] = "cron"
            self.values["built_from"] = self.values["cron_expression"]
        except ValueError as error:
            self.errors["built_dates"] = str(error)

    def schedule(self) -> Schedule | None:
        """The schedule of the form; None, and errors by field, when it is none."""
        given = {name: self.values[name] for name in _fields_of(self.values["cadence"]) if self.values[name]}
        given |= {name: number(given[name]) for name in _NUMBERS if name in given}
        try:
            return Schedule.model_validate(given)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                name = str(one["loc"][0]) if one["loc"] else "cadence"
                self.wrong(name, words_of(one))
            return None

    def filters(self) -> Filters:
        sites = tuple(part.strip() for part in self.values["sites"].split(",") if part.strip())
        return Filters(trials=self.values["trials"], sites=sites, kinds=self.values["kinds"])

    def recipients(self, owner: str) -> tuple[Recipient, ...]:
        lines = [line.strip() for line in self.values["recipients"].splitlines() if line.strip()]
        return tuple(_recipient(line) for line in lines) or (Recipient(type="user", value=owner),)

    def draft(self, owner: str) -> subscribing.Draft | None:
        """The subscription that the form describes; None, and errors by field, when it is none."""
        schedule = self.schedule()
        if not self.values["name"]:
            self.errors["name"] = "give it a name; it becomes the subject of the mail"
        elif len(self.values["name"]) > 200:
            self.errors["name"] = "a name has 200 characters at most"
        try:
            wanted = Format(self.values["format"])
        except ValueError:
            self.errors["format"] = "choose one of the formats"
            return None
        chosen = parameters.read(self.values["report_type"], self.values, self.errors)
        if schedule is None or self.errors:
            return None
        return subscribing.Draft(
            name=self.values["name"],
            description=self.values["description"][:2000],
            report_type=self.values["report_type"],
            schedule=schedule,
            filters=self.filters(),
            recipients=self.recipients(owner),
            format=wanted,
            parameters=chosen,
        )

    def field_of(self, pointer: str) -> str:
        """Findings on the parameters stand beside the fields of the chosen type."""
        if not f"{pointer}/".startswith(parameters.POINTER):
            return super().field_of(pointer)
        name = pointer.removeprefix(parameters.POINTER).partition("/")[0]
        return parameters.key_of(self.values["report_type"], name) or "report_type"


def _first_type(visitor: Visitor) -> str:
    """What is chosen at first: for who sees their own record alone, the report of one person."""
    return next(iter(offered_to(visitor.user.entitlements)))


_NUMBERS = ("day_of_week", "day_of_month", "every_weeks")


def _fields_of(cadence: str) -> tuple[str, ...]:
    own = {
        "weekly": ("day_of_week", "every_weeks"),
        "monthly": ("day_of_month",),
        "cron": ("cron_expression", "window"),
    }
    shared = ("cadence", "timezone", "business_days", "holidays", "starts_on", "ends_on")
    return (*shared, *(() if cadence == "cron" else ("time",)), *own.get(cadence, ()))


def _built(expression: str) -> dict[str, Any]:
    """The builder's fields of an expression, and which one that is; empty where they cannot say it."""
    fields = fields_of(expression) or CronFields("" if expression else "07:00")
    return {
        "built_time": fields.time,
        "built_days": tuple(str(day) for day in fields.days_of_week),
        "built_dates": ", ".join(fields.days_of_month),
        "built_from": expression,
    }


def _recipient(line: str) -> Recipient:
    kind, separator, value = line.partition(":")
    if separator and kind.strip().lower() in get_args(RecipientKind):
        return Recipient.model_validate({"type": kind.strip().lower(), "value": value.strip()})
    guessed = "slack" if line.startswith("#") else "webhook" if line.startswith("https:") else "email"
    return Recipient.model_validate({"type": guessed, "value": line})
