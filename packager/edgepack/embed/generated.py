"""The files of an embedding: the template's for this bundle, the copied runtime, and the bundle itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgepack import __version__, targets
from edgepack.arrays import TaskModel
from edgepack.containment import check_distinct, copy_file
from edgepack.embed import copied, facts, golden_inputs
from edgepack.embed.app import App, Form
from edgepack.embed.names import Names
from edgepack.embed.record import Record
from edgepack.embed.template import Filling
from edgepack.errors import DoesNotFit, TargetError, UsageError
from edgepack.records import Target
from edgepack.runtime import model
from edgepack.runtime.manifest import MANIFEST, Manifest, digest
from edgepack.runtime.processing import Match
from edgepack.stores import sizes
from edgepack.units import size

REQUIREMENTS = "requirements.txt"  # of the copied runtime
_CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_CODE = {".kt", ".kts", ".py", ".swift", ".ts"}  # where the bundle's name is a type
_TOLD = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|/\*[\s\S]*?\*/|//.*|#.*')  # to people: texts and comments
_LEFT = {".DS_Store", "dist", "node_modules", *_CACHES}  # that tools leave in a template


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A bundle to be embedded: by which template, in which form, and under which name."""

    listed: Manifest
    target: Target
    app: App
    form: Form
    names: Names

    @property
    def folder(self) -> str:
        """The name of the generated folder."""
        return self._filling.path(self.app.folder)

    def write(self, place: Path) -> Record:
        """Write every file below ``place``, a new folder; the record of them, which is not written.

        Raises TargetError for a template that is wrong.
        """
        made = self._texts()
        check_distinct([*made, *self._bundle_files], self.app.place, TargetError)
        hashes = {}
        for name, (content, mode) in made.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)
            hashes[name] = hashlib.sha256(content).hexdigest()
        for name, source in self._bundle_files.items():
            copy_file(self.listed.folder, source, place / name)
        return self.record({**hashes, **self.bundle_hashes()})

    def record(self, files: Mapping[str, str]) -> Record:
        """Return the record of an embedding with these ``files``."""
        table = self.listed.table
        return Record(
            bundle=self.listed.name,
            manifest_sha256=self.listed.sha256,
            model=str(table["source"]["model"]),
            task=self.listed.task,
            target=str(table["target"]["name"]),
            form=self.form.name,
            name=self.names.text,
            bundle_folder=self.form.bundle,
            edgepack=__version__,
            files=dict(sorted(files.items())),
        )

    def bundle_hashes(self) -> dict[str, str]:
        """Return SHA-256 of the bundle's files, by the path that they have in the generated folder."""
        known = {name: str(entry["sha256"]) for name, entry in self.listed.table["files"].items()}
        known[MANIFEST] = self.listed.sha256
        folder = self.listed.folder
        return {name: known.get(own) or digest(folder / own) for name, own in self._bundle_files.items()}

    @cached_property
    def _bundle_files(self) -> dict[str, str]:
        """Return the bundle's own name of each of its files, by the path in the generated folder."""
        return {f"{self.form.bundle}/{name}": name for name in sizes.files(self.listed)}

    def _texts(self) -> dict[str, tuple[bytes, int]]:
        """Return the content and the mode of every file but the bundle's, by its path in the generated folder."""
        modules, package = self._modules(), f"{self.names.snake}.{self.app.runtime}"
        rename = copied.renaming(modules, package) if self.app.runtime else None
        filling, found = self._filling, {}
        for name, file in template_files(self.app, self.form.name, self.listed.task):
            content = file.read_bytes()
            text = _text(content)
            if text is not None:
                self._check_name(text, file)
                text = filling.text(text, str(file))
                content = (rename(text) if rename and file.suffix == ".py" else text).encode()
            found[filling.path(name)] = (content, file.stat().st_mode & 0o777 | 0o600)
        if rename:
            copies = copied.runtime(modules, rename)
            found |= {f"{self.app.runtime}/{name}": (text.encode(), 0o644) for name, text in copies.items()}
            needs = "".join(f"{one}\n" for one in copied.requirements(modules))
            found[REQUIREMENTS] = (needs.encode(), 0o644)
        inputs = golden_inputs.encoded(self.listed, self._model) if self.app.inputs else None
        if inputs is not None:
            found[filling.path(self.app.inputs)] = (inputs, 0o644)
        return found

    def _check_name(self, text: str, file: Path) -> None:
        """Raises UsageError where the code of a template's file has the name for something else."""
        own = {self.app.tasks[self.listed.task].type, *self.names.placeholders}
        if file.suffix not in _CODE or self.names.pascal in own:
            return
        if re.search(rf"\b{self.names.pascal}\b", _TOLD.sub("", text)):
            raise UsageError(
                f"{self.names.pascal!r} is a name that the generated code has already",
                hint="--name gives it another one",
            )

    @cached_property
    def _model(self) -> TaskModel:
        """The runtime's object without its models: it makes inputs."""
        return model(self.listed.task, {}, self.listed.folder, self.listed.processing)

    @cached_property
    def _filling(self) -> Filling:
        chats = self.listed.processing.generation is not None and self._model.chats
        known = {*self.app.tasks, *self.app.forms, *targets.names(), self.target.name, *facts.PARTS, facts.CHAT}
        return Filling(
            names=self.names,
            type=self.app.tasks[self.listed.task].type,
            facts=facts.facts(self.listed, self.target, self.form),
            words=facts.words(self.listed, self.form, chats=chats),
            known=known | {"onnx", "coreml"},
        )

    def _modules(self) -> list[str]:
        """Return the modules of edgepack that the app needs a copy of."""
        task = f"edgepack.runtime.tasks.{self.listed.task.replace('-', '_')}"
        engines = {f"edgepack.runtime.engines.{one.format}" for one in self.listed.models.values()}
        return [*self.app.modules, *self.app.tasks[self.listed.task].modules, task, *sorted(engines)]


def template_files(app: App, form: str, task: str) -> Iterator[tuple[str, Path]]:
    """Yield each file of the template that is for a form and a task, with its path."""
    home = app.place / app.folder
    forms = {name: one.files for name, one in app.forms.items()}
    tasks = {name: one.files for name, one in app.tasks.items()}
    for file in sorted(home.rglob("*")):
        name = file.relative_to(home).as_posix()
        if not file.is_file() or _LEFT.intersection(name.split("/")) or _below(name, (app.forms[form].bundle,)):
            continue
        if _is_for(name, form, forms) and _is_for(name, task, tasks):
            yield name, file


def check_task(app: App, listed: Manifest) -> None:
    """Raises UsageError where the template has no wrapper for the bundle's task."""
    if listed.task not in app.tasks:
        raise UsageError(
            f"{app.title} has no wrapper for {listed.task}, which {listed.name} is for",
            hint=f"it has them for {', '.join(app.tasks)}",
        )
    answer = listed.processing.answer
    if isinstance(answer, Match) and answer.bias is not None and not app.runtime:
        raise UsageError(
            f"{app.title} has no wrapper for SigLIP's scores, which {listed.name} gives",
            hint="the Python package of rpi and desktop has one; a CLIP's bundle can be embedded here",
        )


def check_limit(app: App, form: Form, listed: Manifest) -> None:
    """Raises DoesNotFit where the bundle is larger than the form can take."""
    disk = sum(sizes.on_disk(listed).values())
    if form.limit is None or disk <= form.limit:
        return
    amounts = {"disk": disk, "download": sizes.measured(listed).download}
    if amounts[form.limit_of] > form.limit:
        larger = [one for one in app.forms.values() if one.limit is None or one.limit >= amounts[one.limit_of]]
        others = [one.name for one in larger if one.name != form.name]
        told = "on the disk" if form.limit_of == "disk" else "to download"
        raise DoesNotFit(
            f"{listed.name} is {size(amounts[form.limit_of])} {told}; {form.name} can take {size(form.limit)}",
            hint=f"--as {' or '.join(others)}" if others else "build it smaller: --recipe, --max-size",
        )


def _is_for(name: str, chosen: str, files: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a file is nobody's in particular, or one of the ``chosen`` one's; ``files`` are each one's."""
    owners = {owner for owner, own in files.items() if _below(name, own)}
    return not owners or chosen in owners


def _below(name: str, places: Sequence[str]) -> bool:
    return any(name == place or name.startswith(f"{place.rstrip('/')}/") for place in places)


def _text(content: bytes) -> str | None:
    """Return a file's text; None of one that is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
