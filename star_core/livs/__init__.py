"""Linear input-varying operators as arithmetic: one file per token-mixing structure, three forms each."""

from star_core.livs.build import build_liv
from star_core.livs.forward_pass import Form, ForwardPass, StateKey
from star_core.livs.liv import LIV
from star_core.livs.mixer import Mixer, mixer_of, register

__all__ = ["LIV", "Form", "ForwardPass", "Mixer", "StateKey", "build_liv", "mixer_of", "register"]
