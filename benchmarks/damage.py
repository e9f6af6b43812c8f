"""Stored files that are damaged: each is told, refused or set aside, and the run is healed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.arena import Arena, Outcome, scenario
from benchmarks.shelves import FolderShelf
from benchmarks.trial import Trial
from star_core.evaluation import Evaluation
from star_core.population.generation import Parent, read_generation
from star_core.storage.evaluation_file import to_bytes

KEPT = r"kept as \S+/corrupt/\S+, and the candidate is trained again"


def copied(arena: Arena, name: str) -> Path:
    """A copy of the undisturbed run, to damage."""
    return Path(shutil.copytree(arena.undisturbed.folder, arena.folder / name, symlinks=True))


def flipped(content: bytes) -> bytes:
    """With one bit changed, in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


@scenario("generation file damaged")
def damaged_generations(arena: Arena) -> Outcome:
    """A stored generation is truncated, flipped, swapped, of an older format: refused, and made again."""
    folder = copied(arena, "damage")
    path = folder / "data/populations/main/gen_001.json"
    good, founders = path.read_bytes(), (path.parent / "gen_000.json").read_bytes()
    other = read_generation(path).model_copy(update={"run": "other"})
    older = json.dumps(json.loads(good) | {"version": 0}).encode()
    foreign = read_generation(path)
    foreign = foreign.model_copy(update={"parent": Parent(run="main", index=0, digest="0" * 64)})
    damages = {
        "truncated": (good[: len(good) // 2], "gen_001.json: not valid JSON"),
        "empty": (b"", "gen_001.json: not valid JSON"),
        "a bit flipped": (flipped(good), "gen_001.json"),
        "another generation's": (founders, "gen_001.json, index: 0: this place holds index 1"),
        "another run's": (other.to_bytes(), "gen_001.json, run: 'other': this place holds run 'main'"),
        "of another lineage": (foreign.to_bytes(), "was made from another generation 0 than the stored one"),
        "older format": (older, "version: 0: generation format version 1 is read here"),
    }
    with Trial(arena, "damage") as trial:
        for what, (content, message) in damages.items():
            path.write_bytes(content)
            said = trial.start("--generations", "3").end(2)
            trial.expect(said, message, "Fix: .*delete")
            trial.require(path.read_bytes() == content, f"{what}: the damaged file was touched")
            trial.strike(what)
            path.unlink()  # as the message says
            again = trial.start()
            again.wait_for(path.exists)
            trial.outcome.recovery.append(again.seconds)
            again.end()
            trial.require(path.read_bytes() == good, f"{what}: not the same file when it was made again")
        return trial.compare()


@scenario("evaluation damaged")
def damaged_evaluations(arena: Arena) -> Outcome:
    """Stored evaluations are truncated, flipped, swapped, older: set aside, and trained again to the same."""
    folder = copied(arena, "evaluations")
    shelf = FolderShelf(folder / ".star/evaluations")
    with Trial(arena, "evaluations", shelf=shelf) as trial:
        names = sorted(trial.finished)
        good = [trial.finished[name] for name in names]
        wrong = json.loads(good[4])
        wrong["metrics"]["validation_loss"] /= 2
        older = json.loads(good[5]) | {"version": 0}
        resealed = {key: value for key, value in json.loads(good[6]).items() if key in Evaluation.__slots__}
        damages = {
            "truncated": good[0][: len(good[0]) // 2],
            "empty": b"",
            "a bit flipped": flipped(good[2]),
            "another candidate's": good[3 + 1],
            "a better loss": json.dumps(wrong).encode(),
            "older format": json.dumps(older).encode(),
            "another architecture's": to_bytes(Evaluation(**(resealed | {"digest": "0" * 64}))),
        }
        spoiled = dict(zip(names, damages, strict=False))
        trial.spoil(spoiled)
        for name, what in spoiled.items():
            (shelf.folder / name).write_bytes(damages[what])
            trial.strike(what)
        shutil.rmtree(folder / "data/populations/main")  # so that they are wanted
        (folder / "data/baselines/main/baselines.json").unlink()
        attempt = trial.start()
        healed = shelf.folder / next(iter(spoiled))
        attempt.wait_for(lambda: healed.exists() and healed.read_bytes() != damages["truncated"])
        trial.outcome.recovery.append(attempt.seconds)
        said = attempt.end()
        trial.expect(said, *[f"{name.split('/')[1]}: .*{KEPT}" for name in spoiled])
        for name, before in zip(spoiled, good, strict=False):
            now = json.loads(shelf.read(name))
            same = now["metrics"] == json.loads(before)["metrics"]
            trial.require(same, f"{spoiled[name]}: trained again to another result")
            aside = list(shelf.folder.glob(f"corrupt/{name.split('/')[1].removesuffix('.json')}*"))
            trial.require(len(aside) == 1, f"{spoiled[name]}: {len(aside)} copies were set aside")
        return trial.compare()
