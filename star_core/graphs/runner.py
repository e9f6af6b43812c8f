"""Runs an exported language model. Needs numpy and onnxruntime, and nothing but the folder it lies in.

    python run.py "In the beginning" --new-tokens 200 --temperature 0.8

A model is two graphs, which read one token (``step.onnx``) and a block of tokens (``block.onnx``), and what
they remember: states, which each pass gives back anew, and histories, whose rows are written here.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"{error}; pip install numpy onnxruntime")

PRECISIONS = ("f32", "int8", "int4")
"""What weights may be stored in, the most exact first."""
TOKENIZER = "tokenizer.json"
PLACES = 256
"""Histories grow by so many tokens at once."""


class Model(Protocol):
    """What writes text: tokens go in, the logits of the next one come out."""

    def reset(self) -> None:
        """Forgets all tokens."""

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads at least one token; the logits of the next, (vocabulary,), good until the next call."""


class Graph:
    """One graph, and what it says of itself.

    Args:
        model: Its file, or its content.
        threads: That compute; 0: one for each core.
    """

    def __init__(self, model: str | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.description = json.loads(self.session.get_modelmeta().custom_metadata_map["star"])
        self.inputs = {entry.name: entry.shape for entry in self.session.get_inputs()}
        self.outputs = {entry.name: entry.shape for entry in self.session.get_outputs()}

    def bind(self, arrays: Mapping[str, np.ndarray]) -> Callable[[], object]:
        """What computes the outputs from the inputs, each in its array, without copying any."""
        binding = self.session.io_binding()
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
        for name in self.inputs:
            binding.bind_ortvalue_input(name, values[name])
        for name in self.outputs:
            binding.bind_ortvalue_output(name, values[name])

        def run(kept: object = values) -> None:  # a binding does not keep what it is bound to
            self.session.run_with_iobinding(binding)

        return run


class Decoder:
    """A sequence that grows, computed by ONNX Runtime.

    Args:
        step: Graph of a pass over one token.
        block: Graph of a pass over more; ``None``: tokens are read one by one.
        threads: That compute; 0: one for each core.
        graph: What runs a graph.

    Attributes:
        description: What the graph says of itself.
        position: Tokens read so far.
    """

    def __init__(
        self,
        step: str | bytes,
        block: str | bytes | None = None,
        threads: int = 1,
        graph: Callable[[str | bytes, int], Graph] = Graph,
    ) -> None:
        self._graphs = [graph(model, threads) for model in (block, step) if model is not None]
        self.description = self._graphs[-1].description
        if any(read.description["digest"] != self.description["digest"] for read in self._graphs):
            raise ValueError("the two graphs are of different models")
        self._axes: dict[str, int | None] = {
            state["name"]: state["grows"] for state in self.description["states"]
        }
        self._shapes = {name: self._graphs[-1].inputs[name] for name in self._axes}
        self._endless = {
            name for name, shape in self._shapes.items() if any(isinstance(n, str) for n in shape)
        }
        self._states: dict[str, list[np.ndarray]] = {}
        self.reset()

    def reset(self, tokens: int = 0) -> None:
        """Forgets all tokens, and makes place for so many."""
        self.position = self._turn = self._places = 0
        self._states.clear()
        self.reserve(max(tokens, 1))

    def reserve(self, tokens: int) -> None:
        """Makes place for so many tokens in all."""
        if tokens > self._places and (self._endless or not self._places):
            self._places = -(-tokens // PLACES) * PLACES
            self._allocate()

    def pretend(self, tokens: int) -> None:
        """Remembers so many tokens that were never read: what follows costs what it would behind them."""
        self.reset(tokens + 1)
        numbers = np.random.default_rng(0)
        for arrays in self._states.values():
            for array in arrays:
                numbers.standard_normal(out=array, dtype=np.float32)
                array *= 0.1
        self.position = tokens

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads at least one token; the logits of the next, (vocabulary,), good until the next call.

        Raises:
            ValueError: There is no token, or one is none of the model's.
        """
        most = self.description["vocabulary"] - 1
        if not len(tokens) or min(tokens) < 0 or max(tokens) > most:
            raise ValueError(f"at least one token is read, each a number from 0 to {most}")
        self.reserve(self.position + len(tokens))
        done = 0
        while done < len(tokens):
            chosen = next(found for found in self._passes if found.length <= len(tokens) - done)
            logits = chosen.run(tokens[done : done + chosen.length], self.position, self._turn)
            self._turn = 1 - self._turn
            done += chosen.length
            self.position += chosen.length
        return logits

    def _allocate(self) -> None:
        """States of the size that is needed; histories keep what they hold."""
        for name, axis in self._axes.items():
            shape = [self._places if isinstance(size, str) else size for size in self._shapes[name]]
            old = self._states.get(name)
            if old is None or name in self._endless:
                # What a pass gives back whole is read from one array and written to the other, in turn.
                self._states[name] = [np.zeros(shape, np.float32) for _ in range(2 if axis is None else 1)]
                if old is not None:
                    self._states[name][0][tuple(map(slice, old[0].shape))] = old[0]
        self._passes = [_Pass(graph, self._states, self._axes) for graph in self._graphs]


class _Pass:
    """One graph bound to the memory that it reads and writes, so that none is copied."""

    def __init__(
        self, graph: Graph, states: Mapping[str, list[np.ndarray]], axes: Mapping[str, int | None]
    ) -> None:
        self.length: int = graph.description["length"]
        self._tokens, self._position = np.zeros(self.length, np.int64), np.zeros(1, np.int64)
        self._logits = np.zeros(graph.outputs["logits"], np.float32)
        rows = {name: np.zeros(self._rows(states[name][0], axes[name]), np.float32) for name in axes}
        self._histories = [
            (np.moveaxis(states[name][0], axis, 0), np.moveaxis(rows[name], axis, 0))
            for name, axis in axes.items()
            if axis is not None
        ]
        self._runs = []
        for turn in range(2):
            arrays = {"tokens": self._tokens, "position": self._position, "logits": self._logits}
            for name, held in states.items():
                arrays[name] = held[turn % len(held)]
                arrays[f"{name}.new"] = held[1 - turn] if axes[name] is None else rows[name]
            self._runs.append(graph.bind(arrays))

    def run(self, tokens: Sequence[int], position: int, turn: int) -> np.ndarray:
        """Reads so many tokens behind ``position`` others; the logits of the next one.

        Args:
            tokens: As many as the graph reads.
            position: Tokens read before.
            turn: Which of the two arrays of each state holds what it is now.
        """
        self._tokens[:] = tokens
        self._position[0] = position
        self._runs[turn]()
        end = position + self.length
        for history, rows in self._histories:
            places = len(history)
            if end <= places:
                history[position:end] = rows
            else:  # a band keeps the last tokens, each in the place of one that is no longer read
                last = rows[-places:]
                history[np.arange(end - len(last), end) % places] = last
        logits: np.ndarray = self._logits[-1]
        return logits

    def _rows(self, state: np.ndarray, axis: int | None) -> tuple[int, ...]:
        return tuple(self.length if place == axis else size for place, size in enumerate(state.shape))


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest; above, tokens are drawn from softmax(logits / temperature).
        top_k: Only among so many likeliest; 0: among all.
        top_p: Only among the likeliest that together have this chance.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what means nothing."""
        if not 0 <= self.temperature < float("inf") or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature and top-k are at least 0, top-p is above 0 and at most 1")

    def choose(self, logits_V: np.ndarray, rng: np.random.Generator) -> int:
        """A token."""
        if self.temperature == 0:
            return int(logits_V.argmax())
        scaled_V = logits_V.astype(np.float64) / self.temperature
        order_V = np.argsort(-scaled_V, kind="stable")[: self.top_k or None]
        chances_V = np.exp(scaled_V[order_V] - scaled_V[order_V[0]])
        chances_V /= chances_V.sum()
        kept = int(np.searchsorted(np.cumsum(chances_V), self.top_p)) + 1
        chances_V = chances_V[:kept] / chances_V[:kept].sum()
        return int(order_V[rng.choice(len(chances_V), p=chances_V)])


def generate(
    model: Model,
    prompt: Sequence[int],
    new_tokens: int,
    sampling: Sampling,
    seed: int = 0,
    end: int | None = None,
) -> Iterator[int]:
    """Tokens behind a prompt, one by one as they are found.

    Args:
        model: What computes; it forgets what it read before.
        prompt: At least one token.
        new_tokens: The most that are written.
        sampling: How each is chosen.
        seed: Of what is drawn.
        end: Token behind which nothing is written; it is not given out. ``None``: there is none.

    Raises:
        ValueError: The prompt is no tokens of the model's, or ``new_tokens`` is negative.
    """
    if new_tokens < 0:
        raise ValueError(f"{new_tokens} new tokens are less than none")
    rng = np.random.default_rng(seed)
    model.reset()
    read: Sequence[int] = prompt
    for _ in range(new_tokens):
        token = sampling.choose(model.feed(read), rng)
        if token == end:
            return
        yield token
        read = (token,)


class Text:
    """Between text and tokens.

    Args:
        kind: ``bytes``: tokens are the bytes of UTF-8 text. ``tokenizer``: those of a file that the package
            tokenizers reads. ``ids``: text is their numbers, spaces between.
        separator: Token between documents; ``None``: none.
        tokenizer: Content of that file.
    """

    def __init__(self, kind: str, separator: int | None, tokenizer: bytes = b"") -> None:
        self._kind, self.separator = kind, separator
        if kind == "tokenizer":
            try:
                from tokenizers import Tokenizer
            except ImportError:
                raise ValueError(
                    "this model has a vocabulary of its own, which the package tokenizers reads: "
                    "pip install tokenizers"
                ) from None
            self._tokenizer = Tokenizer.from_str(tokenizer.decode())
            self._tokenizer.encode_special_tokens = True  # a text that names one does not hold one

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; of an empty one what stands before every document.

        Raises:
            ValueError: The tokens are numbers, and the text is not.
        """
        try:
            tokens = self._encode(text)
        except ValueError:
            raise ValueError(
                "the tokens of this model are ids of a vocabulary that is not known here: "
                'write them as numbers, such as "1 2 3"'
            ) from None
        return tokens or ([] if self.separator is None else [self.separator])

    def _encode(self, text: str) -> list[int]:
        if self._kind == "ids":
            return list(map(int, text.split()))
        content = text.encode("utf-8", "replace")
        if self._kind == "bytes":
            return list(content)
        return list(self._tokenizer.encode(content.decode(), add_special_tokens=False).ids)

    def decode(self, tokens: Iterator[int]) -> Iterator[str]:
        """Pieces of text, as soon as their characters are whole; the last one, if it is not, is left out."""
        if self._kind == "tokenizer":
            found: list[int] = []
            written = ""
            for token in tokens:
                found.append(token)
                text = self._tokenizer.decode(found)
                if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                    yield text[len(written) :]
                    written = text
            return
        bytes_to_text = codecs.getincrementaldecoder("utf-8")("replace")
        space = ""
        for token in tokens:
            yield bytes_to_text.decode(bytes([token])) if self._kind == "bytes" else f"{space}{token}"
            space = " "


def until(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """Pieces of text up to the first of some strings, none of them empty, which is not given out."""
    longest = max(map(len, stops), default=1)
    held = ""
    for piece in pieces:
        held += piece
        found = [held.index(stop) for stop in stops if stop in held]
        if found:
            yield held[: min(found)]
            return
        ready = len(held) - longest + 1
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    yield held


def file_names(weights: str) -> tuple[str, str, str]:
    """Of the graph of a step, of that of a block, and of the weights of both, stored in a precision."""
    stored = "" if weights == "f32" else f"-{weights}"
    return f"step{stored}.onnx", f"block{stored}.onnx", f"weights{stored}.bin"


def opened(folder: Path, weights: str | None = None, threads: int = 1) -> Decoder:
    """The model that lies in a folder.

    Args:
        folder: With the files that ``file_names`` lists.
        weights: One of ``PRECISIONS``; ``None``: the most exact that is there.
        threads: That compute; 0: one for each core.

    Raises:
        FileNotFoundError: A file is missing.
    """
    there = [name for name in PRECISIONS if (folder / file_names(name)[0]).is_file()]
    files = [folder / name for name in file_names(weights or (there or PRECISIONS)[0])]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing: copy the whole folder"
                + (f", or use the weights {' or '.join(there)}" if there else "")
            )
    return Decoder(str(files[0]), str(files[1]), threads)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def main() -> None:
    """The command line."""
    parser = _Parser(description="Writes text behind a prompt.")
    parser.add_argument("prompt", nargs="?", default="", help="text to continue; none: a new document")
    parser.add_argument("--new-tokens", type=int, default=200, help="the most tokens to write")
    parser.add_argument(
        "--temperature", type=float, default=0.8, help="0 takes the likeliest token each time"
    )
    parser.add_argument("--top-k", type=int, default=0, help="draw among so many likeliest tokens; 0: all")
    parser.add_argument("--top-p", type=float, default=0.95, help="draw among tokens of this chance together")
    parser.add_argument("--stop", action="append", default=[], help="text to stop before; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--weights", choices=PRECISIONS, help="the most exact that are here by default")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute; 0: one for each core")
    given = parser.parse_args()
    if min(given.new_tokens, given.seed, given.threads) < 0 or "" in given.stop:
        parser.error("--new-tokens, --seed and --threads are at least 0, and --stop is not empty")
    try:
        sampling = Sampling(given.temperature, given.top_k, given.top_p)
        folder = Path(__file__).resolve().parent
        model = opened(folder, given.weights, given.threads)
        told = model.description["tokens"]
        tokenizer = (folder / TOKENIZER).read_bytes() if told["kind"] == "tokenizer" else b""
        text = Text(told["kind"], told["separator"], tokenizer)
        prompt = text.encode(given.prompt)
        tokens = generate(model, prompt, given.new_tokens, sampling, given.seed, text.separator)
        for piece in until(text.decode(tokens), given.stop):
            sys.stdout.buffer.write(piece.encode())
            sys.stdout.flush()
        sys.stdout.buffer.write(b"\n")
    except KeyboardInterrupt:
        parser.exit(130, "\n")
    except BrokenPipeError:  # nobody reads on, nor shall anything be written at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except MemoryError as error:
        parser.error(f"not enough memory for so many tokens ({error})")
    except Exception as error:  # ONNX Runtime has its own, and whoever calls wants a sentence
        parser.error(str(error))


if __name__ == "__main__":
    main()
