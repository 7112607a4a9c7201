"""Ordinary work, as people give it to coding agents: nothing in it is to be stopped."""

from . import languages, operations, reading

ALL = [*languages.ALL, *operations.ALL, *reading.ALL]
