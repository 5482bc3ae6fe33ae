"""Attack everything that is read: mutated manifests, archives, signatures, graphs, tokenizers, templates, suites, data.

    python benchmarks/attacks_inputs.py --bundle dist/x-rpi [--package dist/x-iphone] [--count 1000] [--seed 0]

Each kind is mutated ``--count`` times and opened through the door that users take. The table says what came out: a
result, an edgepack error by its class, another exception (a traceback), more than 10 seconds, or a file outside of what
was given that was opened for reading or writing (by Python's audit events, and a private file that links point to).
"""

from __future__ import annotations

import argparse
import collections
import copy
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgepack import data, project, runtime, suites, targets, tasks, weights
from edgepack.data import DataSpec
from edgepack.errors import EdgepackError
from edgepack.runtime import archive, manifest, measurements, onnx_file, signing, tokenizer_file
from edgepack.runtime.chat import ChatTemplate
from edgepack.runtime.engines import open_session
from edgepack.runtime.manifest import SIGNATURE
from edgepack.runtime.signing import envelope, statement
from edgepack.runtime.signing.envelope import Envelope
from edgepack.runtime.text import tokenizer
from edgepack.stages import sign

BUDGET = 10.0  # seconds for opening one of them
_CERTIFICATE = [
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
    "-addext", "keyUsage=digitalSignature,keyCertSign",
]  # fmt: skip
SECRET = "a private file's content"
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, 10**400, 1.5, -0.0, "", "x", "../../secret", "/etc/passwd", "a\0b",
    "\x1b[31m", "\u202e",
    "nan", [], [[]], {}, {"a": 1}, ["x", 1], [None], "é" * 300, "C:\\x", "model.onnx/..", "golden.safetensors",
]  # fmt: skip
TOKENS = [
    b"NaN", b"1e400", b"-Infinity", b'"\\ud800"', b"[" * 2000, b'{"a":' * 2000, b"\0", b"\xff\xfe",
    b"9" * 5000, b'"a":1,"a":2,', b"//x", b"'",
]  # fmt: skip


def changed(rng: random.Random, value: Any) -> Any:
    """``value`` with one to three of its parts put, dropped, added or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        places = list(_places(value))
        if not places:
            break
        owner, key = rng.choice(places)
        kind = rng.randrange(4)
        if kind == 0 and isinstance(owner, dict):
            owner[rng.choice(["surprise", "../x", "a\0", "schema", "file", "op"])] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 1:
            with suppress(KeyError, IndexError):
                del owner[key]
        else:
            with suppress(KeyError, IndexError):
                owner[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def broken(rng: random.Random, raw: bytes) -> bytes:
    """``raw`` with bits flipped, parts cut, doubled or replaced by what parsers trip over."""
    made = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        place, kind = rng.randrange(len(made) + 1), rng.randrange(6)
        if kind == 0 and made:
            made[min(place, len(made) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1 and made:
            made[min(place, len(made) - 1)] = rng.randrange(256)
        elif kind == 2:
            del made[place : place + rng.randint(1, 64)]
        elif kind == 3:
            made[place:place] = made[place : place + rng.randint(1, 64)]
        elif kind == 4:
            made[place:place] = rng.choice(TOKENS)
        else:
            del made[place:]
    return bytes(made)


def text(rng: random.Random, value: Any) -> bytes:
    """JSON of a changed value, or broken JSON of the value."""
    if rng.random() < 0.6:
        return json.dumps(changed(rng, value)).encode("utf-8", "surrogatepass")
    return broken(rng, json.dumps(value).encode())


class Attack:
    """What all kinds share: the bundle that is attacked, a place to work, a private file beside it."""

    def __init__(self, bundle: Path, package: Path | None, work: Path, rng: random.Random) -> None:
        self.rng, self.work, self.package = rng, work, package
        self.folder, self.file = work / "bundle", work / "given"
        shutil.copytree(bundle, self.folder)
        (work / "secret").write_text(SECRET)
        self.table = json.loads((bundle / "edgepack.json").read_text("utf-8"))
        self.small = self._small(work / "small")
        if package is not None:
            shutil.copytree(package / "model.mlpackage", work / "x.mlpackage")
        shutil.copy(self.folder / "golden.safetensors", work)  # what the graph points to
        self.graph = _graph()
        self.signer: sign.Signer | None = None

    def _small(self, folder: Path) -> Path:
        """A bundle of the same manifest whose files are a few bytes each, as an archive."""
        table = json.loads(json.dumps(self.table))
        for name in table["files"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            raw = name.encode() * 3
            (folder / name).write_bytes(raw)
            table["files"][name] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
        (folder / "edgepack.json").write_text(json.dumps(table))
        return archive.zip_folder(folder, folder.with_name("small.edgepack"))

    def given(self, content: bytes, suffix: str) -> Path:
        """A file of this content."""
        file = self.file.with_suffix(suffix)
        file.write_bytes(content)
        return file

    def manifests(self) -> object:
        """The manifest, read."""
        (self.folder / "edgepack.json").write_bytes(text(self.rng, self.table))
        try:
            listed = manifest.read(self.folder)
            return (listed.model_bytes, listed.threads, listed.model.inputs, listed.name)
        finally:
            (self.folder / "edgepack.json").write_text(json.dumps(self.table))

    def opened(self) -> object:
        """A bundle whose manifest is consistent and changed in what the runtime reads, opened and run."""
        table = {**self.table, "processing": changed(self.rng, self.table["processing"])}
        (self.folder / "edgepack.json").write_text(json.dumps(table))
        try:
            model = runtime.load(self.folder, verify=False, threads=1)
            return model.feeds(["a text"]) if hasattr(model, "feeds") else None
        finally:
            (self.folder / "edgepack.json").write_text(json.dumps(self.table))

    def links(self) -> object:
        """A file of the bundle in whose place something else lies, packed and opened."""
        names = [*self.table["files"], "edgepack.json", "measurements.json", "chat_template.jinja", "model_last.onnx"]
        place, kept = self.folder / self.rng.choice(names), self.work / "kept"
        there = place.exists()
        if there:
            place.rename(kept)
        try:
            kind = self.rng.randrange(5)
            if kind == 0:
                os.mkfifo(place)
            elif kind == 1:
                place.mkdir()
            else:
                place.symlink_to([self.work / "secret", "/dev/zero", "../secret"][kind - 2])
            made = archive.zip_folder(self.folder, self.work / "links.edgepack")
            with zipfile.ZipFile(made) as stored:
                if any(SECRET.encode() in stored.read(name) for name in stored.namelist()):
                    raise AssertionError("a private file is in the archive")
            return runtime.load(self.folder, verify=False)
        finally:
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            else:
                place.unlink(missing_ok=True)
            if there:
                kept.rename(place)

    def archives(self) -> object:
        """A .edgepack file, unpacked."""
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if self.rng.random() < 0.5:
            file = self.given(broken(self.rng, self.small.read_bytes()), ".edgepack")
        else:
            file = self.file.with_suffix(".edgepack")
            self._rewrite(file)
        return archive.unpack(file, out)

    def _rewrite(self, to: Path) -> None:
        """The archive with an entry renamed, doubled, grown, encrypted by its flag or of another method."""
        with zipfile.ZipFile(self.small) as source, zipfile.ZipFile(to, "w") as made:
            infos = source.infolist()
            chosen = self.rng.choice(infos)
            for info in infos:
                name, raw = info.filename, source.read(info)
                kind = self.rng.randrange(6) if info is chosen else -1
                if kind == 0:
                    name = self.rng.choice(["../x", "/tmp/x", "a\\b", name.upper(), "x", "C:x", "a/../../y", "é"])
                raw = {1: raw * 1000, 2: bytes(10_000_000), 3: b""}.get(kind, raw)
                method = (
                    self.rng.choice([0, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]) if kind == 4 else zipfile.ZIP_DEFLATED
                )
                made.writestr(zipfile.ZipInfo(name), raw, method)
                if kind == 5:
                    with suppress(UserWarning):
                        made.writestr(zipfile.ZipInfo(name), raw)

    def signatures(self) -> object:
        """model.sig around a changed statement, broken, or held against a broken key or certificate."""
        if self.signer is None:
            key, certificate = self.work / "signing.key", self.work / "signing.pem"
            subprocess.run([*_CERTIFICATE, "-keyout", key, "-out", certificate], check=True, capture_output=True)
            self.signer = sign.signer(key, certificate=certificate)
        listed, pem, kind = manifest.read(self.folder), (self.work / "signing.pem").read_bytes(), self.rng.randrange(3)
        payload = statement.encode(signing.statement_of(listed), signing.UNSIGNED)
        payload = text(self.rng, json.loads(payload)) if kind == 0 else payload
        signature = signing.cryptographic("keys").sign(self.signer.key, payload)
        made = envelope.encode(
            Envelope(payload=payload, signature=signature, certificates=self.signer.certificates)
        ).encode()
        (self.folder / SIGNATURE).write_bytes(text(self.rng, json.loads(made)) if kind == 1 else made)
        try:
            roots = signing.verifier(root_certificates=[broken(self.rng, pem) if kind == 2 else pem])
            signing.check(listed, roots)
        finally:
            (self.folder / SIGNATURE).unlink()

    def graphs(self) -> object:
        """An ONNX file, opened."""
        file = self.given(broken(self.rng, self.graph), ".onnx")
        onnx_file.check(file, set(self.table["files"]))
        return open_session(file, "onnx", 1)

    def packages(self) -> object:
        """A Core ML package, opened."""
        copy = self.work / "x.mlpackage"
        files = sorted(file for file in copy.rglob("*") if file.is_file() and not file.is_symlink())
        file = self.rng.choice(files)
        raw = file.read_bytes()
        facts = json.loads((copy / "Manifest.json").read_text())
        file.write_bytes(text(self.rng, facts) if file.name == "Manifest.json" else broken(self.rng, raw))
        try:
            return open_session(copy, "coreml", 1)
        finally:
            file.write_bytes(raw)

    def tokenizers(self) -> object:
        """A tokenizer.json, opened and used."""
        raw = (self.folder / "tokenizer.json").read_bytes()
        table = json.loads(raw)
        vocabulary = table["model"].get("vocab")
        if isinstance(vocabulary, dict):
            known = {entry["content"] for entry in table["added_tokens"]}
            table["model"]["vocab"] = {k: v for k, v in vocabulary.items() if v < 60 or k in known}
        table["model"].pop("merges", None) if table["model"].get("type") != "BPE" else table["model"].update(merges=[])
        place = self.work / "words"
        place.mkdir(exist_ok=True)
        (place / "tokenizer.json").write_bytes(text(self.rng, table))
        tokenizer_file.check(place / "tokenizer.json")
        words = tokenizer(place)
        from edgepack.runtime.text import encoded

        return encoded(words, "Some words, 42 and 寿司.").ids

    def templates(self) -> object:
        """A chat template, rendered."""
        pieces = [
            "{% for m in messages %}", "{% endfor %}", "{% if m.role == 'user' %}", "{% endif %}", "{{ m.content }}",
            "{{ m.content * 10**9 }}", "{{ [1] * 10**9 }}", "{% for i in range(99999) %}",
            "{% set x = namespace(s='a') %}",
            "{% set x.s = x.s ~ x.s %}", "{{ x.s }}", "{{ '%99999999d' % 3 }}", "{{ m|tojson }}", "{{", "}}", "{%",
            "%}", "\0",
            "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% include '/etc/passwd' %}", "{{ self }}",
            "{{ 9**9**9**9 }}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ messages[0].content|center(10**9) }}", "{{ (" * 50,
            "{{ raise_exception('x') }}", "{{ lipsum() }}", "{{ cycler('a').next() }}", "{{ range(10)|batch(3)|list }}",
        ]  # fmt: skip
        made = "".join(self.rng.choice(pieces) for _ in range(self.rng.randint(1, 10)))
        return ChatTemplate(made, {"bos_token": "<s>"}).render([{"role": "user", "content": "Hello"}])

    def headers(self) -> object:
        """Safetensors: golden vectors as the runtime reads them, and weights as a build does."""
        from edgepack.runtime import golden

        raw = (self.folder / "golden.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = text(self.rng, json.loads(raw[8 : 8 + length]))
        file = self.given(len(header).to_bytes(8, "little") + header + raw[8 + length :], ".safetensors")
        with suppress(EdgepackError):
            golden.read(file)
        return [weights.read(tensor) for tensor in weights.tensors(file) if tensor.dtype == "F32"]

    def suites(self) -> object:
        """A release suite, read."""
        whole = {
            "name": "release", "original": "transformers",
            "check": [
                {"kind": "agreement", "metric": "cosine", "statistic": "min", "at_least": 0.9},
                {"kind": "metric", "metric": "spearman", "at_least": 0.8, "sure": True,
                 "data": {"path": "pairs.csv", "columns": {"score": 2}, "limit": 5}},
                {"kind": "size", "at_most": "24 MB"}, {"kind": "latency", "percentile": 90, "at_most": "50 ms"},
            ],
        }  # fmt: skip
        file = self.given(toml(self.rng, whole), ".toml")
        return suites.read(file)

    def projects(self) -> object:
        """An edgepack.toml, read."""
        whole = {"model": "./m", "targets": ["rpi"], "recipes": ["int8"], "recipe": {"int8": {"block_size": 64}},
                 "evaluation": {"path": "a.csv", "columns": {"score": 2}}, "suite": "x.toml",
                 "out": "dist"}  # fmt: skip
        return project.read(self.given(toml(self.rng, whole), ".toml"))

    def targets(self) -> object:
        """A target.toml, loaded."""
        place = self.work / "board"
        place.mkdir(exist_ok=True)
        raw = (targets.ROOT / "rpi" / "target.toml").read_bytes()
        import tomllib

        made = broken(self.rng, raw) if self.rng.random() < 0.4 else toml(self.rng, tomllib.loads(raw.decode()))
        (place / "target.toml").write_bytes(made)
        return targets.load(str(place))

    def data_files(self) -> object:
        """A data set, read."""
        suffix, raw = self.rng.choice(
            [
                (".csv", b'text,label\n"a, b",x\nc,y\n'),
                (".tsv", b"text\tlabel\na\tx\n"),
                (".jsonl", b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'),
                (".txt", "some text é\n".encode()),
                (".parquet", self._parquet()),
            ]
        )
        columns = self.rng.choice([{}, {"label": 1}, {"text": "label"}, {"text": 99}])
        spec = DataSpec(
            path=self.given(broken(self.rng, raw), suffix), columns=columns, limit=self.rng.choice([None, 1])
        )
        return data.read(spec, ("text", "label"))

    def _parquet(self) -> bytes:
        import pyarrow
        import pyarrow.parquet

        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": ["x", "y"]}), sink)
        return bytes(sink.getvalue())

    def measurements(self) -> object:
        """The measurements, read."""
        file = self.folder / "measurements.json"
        kept = file.read_bytes()
        try:
            file.write_bytes(text(self.rng, json.loads(kept)))
            return measurements.read(self.folder)
        finally:
            file.write_bytes(kept)

    def configs(self) -> object:
        """A model's config.json, read."""
        file = self.given(text(self.rng, json.loads((self.folder / "config.json").read_text())), ".json")
        return tasks.read_config(file)


def _graph() -> bytes:
    """A small graph with a subgraph, external data and attributes of several kinds."""
    from onnx import TensorProto, helper

    outside = TensorProto(name="e", data_type=1, dims=[4], data_location=1)
    outside.external_data.add(key="location", value="golden.safetensors")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y", "b")]
    body = helper.make_graph([helper.make_node("Neg", ["m"], ["b"])], "body", [], values[2:])
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0]),
               helper.make_tensor("n", TensorProto.INT64, [1], [9]), outside]  # fmt: skip
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["c"]), helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "e"], ["m"]),
        helper.make_node("Cast", ["s"], ["t"], to=TensorProto.BOOL),
        helper.make_node("If", ["t"], ["y"], then_branch=body, else_branch=body),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", values[:1], values[1:2], weights)
    made = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(made.SerializeToString())


def toml(rng: random.Random, value: Any) -> bytes:
    """A changed value as TOML, and now and then broken."""
    made = "".join(_toml(changed(rng, value))).encode("utf-8", "surrogatepass")
    return broken(rng, made) if rng.random() < 0.3 else made


def _toml(table: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in table.items() if isinstance(table, dict) else ():
        yield f"{json.dumps(key)} = {_inline(value)}\n"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return "nan" if value is None else json.dumps(value)


class Opened:
    """Python's audit events: which files are opened, and whether they are outside of ``allowed``."""

    def __init__(self, allowed: list[Path]) -> None:
        self.allowed = [os.path.realpath(path) for path in allowed]
        self.outside: set[str] = set()
        self.watching = False
        sys.addaudithook(self._event)

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching or name != "open":
            return
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            text = os.fsdecode(path)
            if "\0" in text or not os.path.isabs(text):  # the latter are of rmtree, below an open folder
                return
            real = os.path.realpath(text)
            if not any(real == one or real.startswith(one + os.sep) for one in self.allowed):
                self.outside.add(real)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="attacks-"))
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    inside = work / "inside"
    inside.mkdir()
    rng = random.Random(asked.seed)
    attack = Attack(asked.bundle, asked.package, inside, rng)
    own = [Path(sys.prefix), Path(sys.base_prefix), Path(runtime.__file__).parents[1], targets.ROOT]
    watch = Opened([inside, work / "cache", *own])
    kinds: dict[str, Callable[[], object]] = {
        name: getattr(attack, name)
        for name in ("manifests", "opened", "links", "archives", "signatures", "graphs", "packages", "tokenizers",
                     "templates", "headers", "suites", "projects", "targets", "data_files", "measurements", "configs")
        if (name != "packages" or asked.package) and asked.only in ("", name)
    }  # fmt: skip
    total, bad = 0, 0
    print(f"{'what':14}{'tried':>7}{'read':>7}{'error':>7}{'trace':>7}{'slow':>6}{'out':>5}{'worst s':>9}  errors")
    for name, work_of in kinds.items():
        found, traces, slow, worst = collections.Counter[str](), [], 0, 0.0
        count = asked.count if name not in ("opened", "links") else max(asked.count // 4, 1)
        watch.outside.clear()
        for _ in range(count):
            begin = time.monotonic()
            watch.watching = True
            try:
                work_of()
                found["read"] += 1
            except EdgepackError as error:
                found[type(error).__name__] += 1
                if "\n" in str(error):
                    traces.append(f"two lines: {error!r}")
            except Exception as error:
                traces.append(f"{type(error).__name__}: {error}"[:160])
            finally:
                watch.watching = False
            taken = time.monotonic() - begin
            worst, slow = max(worst, taken), slow + (taken > BUDGET)
        read = found.pop("read", 0)
        errors = ", ".join(f"{kind} {times}" for kind, times in found.most_common(4))
        print(
            f"{name:14}{count:7}{read:7}{sum(found.values()):7}{len(traces):7}"
            f"{slow:6}{len(watch.outside):5}{worst:9.2f}  {errors}",
            flush=True,
        )
        for line in [*sorted(set(traces))[:12], *sorted(watch.outside)[:5]]:
            print(f"    {line}")
        total, bad = total + count, bad + len(traces) + slow + len(watch.outside)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{total:,} attacks, {bad} that got through; peak memory {peak:,.0f} MB")
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if bad else 0)


if __name__ == "__main__":
    main()
