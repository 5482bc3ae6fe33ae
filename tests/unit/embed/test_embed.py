"""A bundle in an app: what is generated, what is left alone, and what is refused with the app untouched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import check_schemas

from edgepack import embed as room
from edgepack import outfolder
from edgepack.embed import Request, names, record
from edgepack.errors import (
    AppError,
    AppFolderTaken,
    AppProjectMissing,
    BundleTooOld,
    EdgepackError,
    FileTrouble,
    TargetError,
    UnknownName,
    UsageError,
)
from edgepack.ours import EMBEDDED
from edgepack.records import Bundle
from edgepack.runtime.opening import opened

Command = Callable[..., subprocess.CompletedProcess[str]]
SCHEMA_1 = sorted((Path(__file__).parents[2] / "data" / "schema-1").glob("*/"))


def request(bundle: Bundle | Path, into: Path, **options: str | None) -> Request:
    return Request(listed=opened(bundle if isinstance(bundle, Path) else bundle.path), into=into, **options)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app's folder with a file of its own."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("mine\n")
    (tmp_path / "app" / "Board.xyz").write_text("")
    return tmp_path / "app"


def tree(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_template_of_ones_own_is_filled(boards: Bundle, board: Path, app: Path) -> None:
    made = room.embed(request(boards, app, target=str(board), name="DeskLamp"))
    folder = app / "DeskLamp"
    assert made.folder == folder
    generated = {name for name in tree(folder) if not name.startswith("data/bundle/")}
    assert generated == {"DeskLamp.swift", "run.sh", "icon.png", EMBEDDED}
    text = (folder / "DeskLamp.swift").read_text()
    assert text == (
        "/// 3 labels, of tiny-text-classification\nclass DeskLamp {} // DeskLamp deskLamp desk_lamp desk-lamp\n"
        "let text = 1\n"
    )
    assert os.access(folder / "run.sh", os.X_OK)
    assert (folder / "icon.png").read_bytes() == b"\x89PNG\xff"
    check_schemas_of_the_copy(boards.path, folder / "data" / "bundle")
    assert tree(app)["main.py"] == b"mine\n"


def check_schemas_of_the_copy(bundle: Path, copy: Path) -> None:
    original = {name: content for name, content in tree(bundle).items() if name != "measurements.json"}
    assert tree(copy) == original
    assert opened(copy).name == bundle.name
    check_schemas(bundle)


def test_each_form_has_its_own_files(boards: Bundle, board: Path, app: Path) -> None:
    asked = request(boards, app, target=str(board), form="assets", name="DeskLamp")
    folder = room.embed(asked).folder
    assert (folder / "assets.txt").is_file()
    assert (folder / "assets" / "desk_lamp" / "edgepack.json").is_file()
    assert room.check(asked)[1] == ()


def test_an_update_keeps_what_is_the_users(classifier: Bundle, app: Path) -> None:
    folder = room.embed(request(classifier, app, name="Mood")).folder
    (folder / "__init__.py").write_text("edited\n")
    (folder / "mine.py").write_text("mine\n")
    (folder / "link").symlink_to("mine.py")
    (folder / "_bundle.py").unlink()
    made = room.embed(request(classifier, app), update=True)
    assert made.kept == (".edgepack-kept/1/__init__.py",)
    assert (folder / made.kept[0]).read_text() == "edited\n"
    assert (folder / "mine.py").read_text() == "mine\n"
    assert os.readlink(folder / "link") == "mine.py"
    assert "Mood" in (folder / "__init__.py").read_text()
    assert (folder / "_bundle.py").is_file()
    again = room.embed(request(classifier, app), update=True)
    assert again.kept == ()
    assert (folder / made.kept[0]).read_text() == "edited\n"
    (folder / "__init__.py").write_text("edited again\n")
    assert room.embed(request(classifier, app), update=True).kept == (".edgepack-kept/2/__init__.py",)
    assert (app / "main.py").read_text() == "mine\n"
    assert sorted(file.name for file in app.iterdir()) == ["Board.xyz", "main.py", "mood"]


def test_an_update_takes_another_bundle_of_the_same_model(
    classifier: Bundle, build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path], app: Path
) -> None:
    folder = room.embed(request(classifier, app, name="Mood")).folder
    smaller = build(tiny("text-classification"), "rpi", recipes=("int8",))[0]
    with pytest.raises(AppError, match="holds no embedding"):
        room.embed(request(smaller.path, app), update=True)
    room.embed(request(smaller.path, app, name="Mood"), update=True)
    held = record.read(folder)
    assert held is not None
    assert held.bundle == smaller.path.name


def test_check_finds_every_difference(classifier: Bundle, app: Path) -> None:
    folder = room.embed(request(classifier, app, name="Mood")).folder
    assert room.check(request(classifier, app))[1] == ()
    (folder / "notes.txt").write_text("mine")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"")
    assert room.check(request(classifier, app))[1] == ()
    (folder / "bundle" / "more.txt").write_text("not the bundle's")
    (folder / "bundle" / "tokenizer.json").write_text("{}")
    (folder / "bundle" / "LICENSE").unlink(missing_ok=True)
    (folder / "README.md").unlink()
    (folder / "_bundle.py").write_text("edited")
    found = {one.path: one.why for one in room.check(request(classifier, app))[1]}
    assert found.pop("bundle/LICENSE", "is missing") == "is missing"
    assert found == {
        "README.md": "is missing",
        "_bundle.py": "was changed after it was generated",
        "bundle/more.txt": "is not the bundle's",
        "bundle/tokenizer.json": "was changed after it was generated",
    }


def test_check_finds_another_bundle(classifier: Bundle, app: Path, tmp_path: Path) -> None:
    room.embed(request(classifier, app, name="Mood"))
    other = Path(shutil.copytree(classifier.path, tmp_path / classifier.path.name))
    table = json.loads((other / "edgepack.json").read_text())
    table["reproduce"]["tools"]["torch"] = "9.9.9"
    (other / "edgepack.json").write_text(json.dumps(table))
    assert {one.path: one.why for one in room.check(request(other, app))[1]} == {
        "bundle/edgepack.json": "is not the bundle's"
    }


def test_the_command_has_an_exit_code_for_each_case(edgepack: Command, classifier: Bundle, app: Path) -> None:
    done = edgepack("embed", classifier.path, "--into", app, "--name", "Mood", "--json")
    assert json.loads(done.stdout)["name"] == "Mood", done.stderr
    assert edgepack("embed", classifier.path, "--into", app, "--name", "Mood").returncode == 73
    assert edgepack("embed", classifier.path, "--into", app, "--check").returncode == 0
    (app / "mood" / "py.typed").write_text("x")
    checked = edgepack("embed", classifier.path, "--into", app, "--check")
    assert (checked.returncode, "py.typed" in checked.stdout) == (74, True)
    updated = edgepack("embed", classifier.path, "--into", app, "--update")
    assert (updated.returncode, ".edgepack-kept/1/py.typed" in updated.stdout) == (0, True)
    both = edgepack("embed", classifier.path, "--into", app, "--update", "--check")
    assert both.returncode == 2


def bad_inputs(
    classifier: Bundle, boards: Bundle, board: Path, app: Path, tmp_path: Path
) -> dict[str, tuple[Request, type[EdgepackError]]]:
    own = {"target": str(board)}
    for name in ("empty", "b/x"):
        (tmp_path / name).mkdir(parents=True)
    empty = tmp_path / "empty"
    return {
        "another platform": (request(classifier, app, target="web"), AppError),
        "a missing project": (request(boards, empty, **own), AppProjectMissing),
        "a target that is not here": (request(boards, app), UsageError),
        "no such form": (request(classifier, app, form="assets"), UsageError),
        "a name with a space": (request(classifier, app, name="two words"), UsageError),
        "a name that begins with a digit": (request(classifier, app, name="9lives"), UsageError),
        "a keyword": (request(classifier, app, name="class"), UsageError),
        "a path": (request(classifier, app, name="../x"), UsageError),
        "no such folder": (request(classifier, tmp_path / "nowhere"), FileTrouble),
        "no such target": (request(classifier, app, target="rpy"), UsageError),
        "a module of Python's": (request(classifier, app, name="Queue"), UsageError),
        "a name of the runtime's": (request(classifier, app, name="BundleDamaged"), UsageError),
        "letters that code does not take": (request(classifier, app, name="Stimmung-für"), UsageError),
        "a very long name": (request(classifier, app, name="Mood" * 20), UsageError),
        "a bundle's folder": (
            request(classifier, Path(shutil.copytree(classifier.path, tmp_path / "b", dirs_exist_ok=True))),
            FileTrouble,
        ),
        "a folder in a bundle": (request(boards, tmp_path / "b" / "x", **own), FileTrouble),
    }


def test_bad_input_leaves_the_app_untouched(
    classifier: Bundle, boards: Bundle, board: Path, app: Path, tmp_path: Path
) -> None:
    before = tree(app)
    for told, (asked, failure) in bad_inputs(classifier, boards, board, app, tmp_path).items():
        with pytest.raises(failure) as caught:
            room.embed(asked)
        assert caught.value.hint, told
        assert tree(app) == before, told


def test_an_embedding_that_was_moved_is_refused(classifier: Bundle, app: Path, tmp_path: Path) -> None:
    """Its code finds itself by its folder's name, and a link is not replaced by a folder."""
    folder = room.embed(request(classifier, app, name="Mood")).folder
    with pytest.raises(FileTrouble, match="a part of what was embedded"):
        room.embed(request(classifier, folder / "tests", name="Other"))
    other = folder.rename(app / "feeling")
    for act in (room.check, lambda asked: room.embed(asked, update=True)):
        with pytest.raises(AppFolderTaken, match="embedded as mood") as caught:
            act(request(classifier, app))
        assert caught.value.hint == f"mv {other} {folder}"
    folder.symlink_to(other.rename(tmp_path / "feeling"))
    with pytest.raises(AppFolderTaken, match="is a link"):
        room.embed(request(classifier, app), update=True)
    assert folder.is_symlink()


def test_a_check_of_another_form_is_refused(boards: Bundle, board: Path, app: Path) -> None:
    room.embed(request(boards, app, target=str(board), name="DeskLamp"))
    with pytest.raises(UsageError, match="embedded as package") as caught:
        room.check(request(boards, app, target=str(board), form="assets"))
    assert caught.value.hint == "--update --as assets changes that"


def test_a_name_may_be_a_word_of_a_comment(classifier: Bundle, app: Path) -> None:
    assert "Texts" in (room.embed(request(classifier, app, name="Texts")).folder / "__init__.py").read_text()


def test_odd_places(classifier: Bundle, tmp_path: Path) -> None:
    """Spaces, other letters, quotes, and a link to the app's folder."""
    app = tmp_path / "my äpp's 応用"
    app.mkdir()
    link = tmp_path / "link"
    link.symlink_to(app)
    folder = room.embed(request(classifier, link, name="mood-2")).folder
    assert folder == link / "mood_2"
    assert (app / "mood_2" / "__init__.py").is_file()
    assert room.check(request(classifier, app))[1] == ()
    assert room.embed(request(classifier, link), update=True).kept == ()


def test_what_is_there_stays(classifier: Bundle, minilm: Bundle, app: Path) -> None:
    (app / "mood").mkdir()
    (app / "mood" / "notes.txt").write_text("mine")
    with pytest.raises(AppFolderTaken, match="did not generate"):
        room.embed(request(classifier, app, name="Mood"))
    shutil.rmtree(app / "mood")
    room.embed(request(classifier, app, name="Mood"))
    before = tree(app)
    with pytest.raises(AppFolderTaken, match="another bundle"):
        room.embed(request(minilm, app, name="Mood"))
    with pytest.raises(AppFolderTaken, match="for text-classification"):
        room.embed(request(minilm, app, name="Mood"), update=True)
    assert tree(app) == before


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting a folder needs root")
@pytest.mark.parametrize("earlier", [False, True])
def test_a_folder_that_is_read_only_is_refused(earlier: bool, classifier: Bundle, app: Path) -> None:
    """Mounted so, in a mount namespace of its own: root may write where modes forbid it."""
    if earlier:
        room.embed(request(classifier, app, name="Mood"))
    before = tree(app)
    command = [Path(sys.executable).parent / "edgepack", "embed", classifier.path, "--into", app]
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    mounted = ["unshare", "--mount", "sh", "-c", script, app, *command, *(["--update"] if earlier else [])]
    done = subprocess.run(list(map(str, mounted)), capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert (done.returncode, "cannot be written" in done.stderr) == (FileTrouble.exit_code, True), done.stderr
    assert "hint: " in done.stderr
    assert tree(app) == before


@pytest.mark.parametrize("bundle", SCHEMA_1, ids=lambda bundle: bundle.name)
def test_a_bundle_of_schema_1_is_too_old(bundle: Path, app: Path) -> None:
    before = tree(app)
    with pytest.raises(BundleTooOld, match="schema 1") as caught:
        room.embed(request(bundle, app))
    assert caught.value.hint.startswith("build it again: edgepack build ")
    assert tree(app) == before


def test_a_task_without_a_wrapper_is_refused(minilm: Bundle, board: Path, app: Path) -> None:
    toml = board / "app" / "app.toml"
    toml.write_text(toml.read_text().replace("[tasks.text-embedding]", "[tasks.fill-mask]"))
    shutil.copytree(board, app.parent / "rpi")
    with pytest.raises(UsageError, match="no wrapper for text-embedding"):
        room.embed(request(minilm, app, target=str(app.parent / "rpi")))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("@labels@", "@lables@", "lables"),
        ("@labels@", "@width@", "width"),
        ("edgepack:if text", "edgepack:if texts", "texts"),
        ("/* edgepack:if image audio */", "/* edgepack:if image audio */\n// edgepack:if text", "inside of another"),
        ("/* edgepack:end */", "", "no edgepack:end"),
    ],
)
def test_a_wrong_template_is_named(boards: Bundle, board: Path, app: Path, old: str, new: str, told: str) -> None:
    file = board / "app" / "EdgepackModel" / "Classifier.swift"
    file.write_text(file.read_text().replace(old, new))
    before = tree(app)
    with pytest.raises(TargetError, match=told):
        room.embed(request(boards, app, target=str(board)))
    assert tree(app) == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title =", "titel =", "did you mean 'title'"),
        ('["Classifier.swift"]', '["Clasifier.swift"]', "has no 'Clasifier.swift'"),
        ('["Classifier.swift"]', '["../x"]', "files"),
        ("[forms.package]", "[forms_.package]", "did you mean 'forms'"),
    ],
)
def test_a_wrong_table_is_named(boards: Bundle, board: Path, app: Path, old: str, new: str, told: str) -> None:
    file = board / "app" / "app.toml"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(TargetError) as caught:
        room.embed(request(boards, app, target=str(board)))
    assert told in f"{caught.value} {caught.value.hint}"


def test_names_in_every_form() -> None:
    assert names.given("SentenceSearch") == names.Names(
        text="SentenceSearch",
        pascal="SentenceSearch",
        camel="sentenceSearch",
        snake="sentence_search",
        kebab="sentence-search",
    )
    assert names.derived("all-MiniLM-L6-v2-rpi-int4", "rpi").pascal == "AllMiniLML6V2"
    assert names.derived("Qwen2.5-0.5B-web", "web").snake == "qwen2_5_0_5b"
    with pytest.raises(UsageError):
        names.derived("7B-chat-rpi", "rpi")


@pytest.mark.parametrize("bundle", ["all-MiniLM-L6-v2-rpi-int4", "Qwen2.5-0.5B-rpi", "TinyLlama-rpi", "x--y__2-rpi"])
def test_a_name_is_the_same_again(bundle: str) -> None:
    """An update reads it from the record; another folder's name in the code would break it."""
    made = names.derived(bundle, "rpi")
    assert names.given(made.text) == made


def test_what_a_bundle_says_of_itself_ends_no_comment(classifier: Bundle, app: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(classifier.path, tmp_path / "bad"))
    table = json.loads((other / "edgepack.json").read_text())
    table["source"]["model"] = 'x"""\nimport os */ \\ \u202e <script>'
    (other / "edgepack.json").write_text(json.dumps(table))
    folder = room.embed(request(other, app, name="Mood")).folder
    text = (folder / "_text_classification.py").read_text()
    (line,) = (line for line in text.splitlines() if "import os" in line)
    assert line.lstrip().startswith('"""x____import os __ _ _ _script>:')
    assert not {"\\", "\u202e", "<"}.intersection(line)
    assert "*/" not in line
    compile(text, "x", "exec")


def test_a_record_that_was_damaged_is_refused(classifier: Bundle, app: Path) -> None:
    folder = room.embed(request(classifier, app, name="Mood")).folder
    whole = json.loads((folder / EMBEDDED).read_text())
    for change in ({"files": {"../x": "0" * 64}}, {"schema": 2}, {"files": []}, {"more": 1}, {"name": "a b"}):
        (folder / EMBEDDED).write_text(json.dumps({**whole, **change}))
        before = tree(app)
        with pytest.raises(AppFolderTaken):
            room.embed(request(classifier, app), update=True)
        assert tree(app) == before


def test_an_embedding_comes_back_after_a_kill_between_two_renames(classifier: Bundle, app: Path) -> None:
    folder = room.embed(request(classifier, app, name="Mood")).folder
    with outfolder.workfolder(app, outfolder.PREFIX) as work:
        left = app / f"{outfolder.PREFIX}deadbeef"
        shutil.copytree(work, left)
        (left / "old").mkdir()
        folder.rename(left / "old" / "mood")
    outfolder.clear_leftovers(app)
    assert (folder / EMBEDDED).is_file()


def test_unknown_names_are_told_apart(classifier: Bundle, app: Path) -> None:
    with pytest.raises(UsageError) as caught:
        room.embed(request(classifier, app, target="rpy"))
    assert isinstance(caught.value.__cause__, UnknownName)
