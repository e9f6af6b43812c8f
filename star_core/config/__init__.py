"""The experiment, as ``params.yaml`` states it: every key, its range, its default and what it means."""

from star_core.config.candidate import MAX_VOCABULARY, Data, Model, Space, Training
from star_core.config.devices import device_file
from star_core.config.digest import digest_json
from star_core.config.evolution import Evolution, Halving, Screening
from star_core.config.execution import Budget, Retrain, Runtime
from star_core.config.objectives import MEASURED, OBJECTIVE_PRESETS, Objectives
from star_core.config.params import FIRST_RUNTIME, LATER, Params, stated
from star_core.config.params_file import MAX_FILE_BYTES, load_params, params_from, stored_params
from star_core.config.plain_yaml import PlainLoader
from star_core.config.section import ExtensibleSection, Section

__all__ = [
    "FIRST_RUNTIME",
    "LATER",
    "MAX_FILE_BYTES",
    "MAX_VOCABULARY",
    "MEASURED",
    "OBJECTIVE_PRESETS",
    "Budget",
    "Data",
    "Evolution",
    "ExtensibleSection",
    "Halving",
    "Model",
    "Objectives",
    "Params",
    "PlainLoader",
    "Retrain",
    "Runtime",
    "Screening",
    "Section",
    "Space",
    "Training",
    "device_file",
    "digest_json",
    "load_params",
    "params_from",
    "stated",
    "stored_params",
]
