"""The manifest: what is written is what is read, and which versions open which."""

import contextlib
import copy
import json
from importlib import resources

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.artifact.manifest import FileEntry, Manifest, RegionEntry, digest, parse_manifest
from graphopt.backends.executable import TensorInfo
from graphopt.errors import ArtifactError

SCHEMA = json.loads((resources.files("graphopt.artifact") / "manifest.schema.json").read_text())

MANIFEST = Manifest(
    writer="graphopt 0.1.0",
    inputs=(TensorInfo("x", "float32", ("N", 3, None)), TensorInfo("d", "int64", None, optional=True)),
    outputs=(TensorInfo("y", "float32", ("N", 3)),),
    regions=(
        RegionEntry("reference", "regions/0.reference", ("x",), ("h",)),
        RegionEntry("onnxruntime", "regions/1.onnxruntime", ("h", "x"), ("y",), {"initializers": {}}),
    ),
    files={
        "regions/0.reference": FileEntry(10, "0" * 64),
        "regions/1.onnxruntime": FileEntry(0, "a" * 64),
    },
    threads=2,
    target={"kind": "cpu"},
    details={"versions": {"numpy": "2"}, "passes": ["fold"]},
)


def fields():
    """The fields of a good manifest, to be changed."""
    return json.loads(MANIFEST.to_bytes())


def parse(raw, *, sign=True):
    """Parse changed fields, with a digest that fits them unless told otherwise."""
    if sign:
        raw["digest"] = digest(raw)
    return parse_manifest(json.dumps(raw).encode(), "m.gopt")


def test_what_is_written_is_read_back():
    assert parse_manifest(MANIFEST.to_bytes(), "m.gopt") == MANIFEST


def test_the_written_manifest_satisfies_the_published_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(fields(), SCHEMA)


def test_a_newer_minor_opens_and_keeps_the_fields_it_does_not_know():
    raw = fields() | {"schema": "1.7", "sparkle": {"new": True}}
    raw["regions"][0]["colour"] = "blue"
    raw["inputs"][0]["layout"] = "nchw"
    jsonschema.validate(raw, SCHEMA)
    manifest = parse(raw)
    assert manifest.schema == (1, 7)
    assert manifest.details["sparkle"] == {"new": True}
    assert manifest.regions == MANIFEST.regions


def test_a_newer_major_is_refused_with_the_command_that_helps():
    raw = fields() | {"schema": "2.0"}
    # A future format may sign itself differently: the version is judged first.
    with pytest.raises(ArtifactError, match=r"format 2\.0.*reads 1\.x.*pip install --upgrade graphopt"):
        parse(raw, sign=False)


def test_an_older_major_is_refused():
    with pytest.raises(ArtifactError, match=r"format 0\.9.*compile the model again"):
        parse(fields() | {"schema": "0.9"})


@pytest.mark.parametrize("text", ["1", "1.", ".1", "one.two", "1.0.0", "-1.0", "¹.0", "", "9" * 5000 + ".0"])
def test_a_version_that_is_none_is_refused(text):
    with pytest.raises(ArtifactError, match="'schema'"):
        parse(fields() | {"schema": text})


def test_a_changed_manifest_is_refused():
    raw = fields() | {"threads": 3}
    with pytest.raises(ArtifactError, match="digest does not match"):
        parse(raw, sign=False)


def test_a_reserved_field_cannot_be_shadowed():
    with pytest.raises(ArtifactError, match="'files' is reserved"):
        Manifest("w", (), (), (), {}, details={"files": {}}).to_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["regions"][1].update(file="regions/2.tvm"), "not listed"),
        (lambda raw: raw["regions"][0].update(inputs=["h"]), "before anything computes it"),
        (lambda raw: raw["regions"].reverse(), "before anything computes it"),
        (lambda raw: raw["outputs"].append({"name": "z", "dtype": "float32"}), "nothing computes"),
        (lambda raw: raw["inputs"].append(raw["inputs"][0]), "twice"),
        (lambda raw: raw["inputs"][0].update(shape=[-1]), "not a dim"),
        (lambda raw: raw["inputs"][0].update(shape=[True]), "not a dim"),
        (lambda raw: raw["files"]["regions/0.reference"].update(size=-1), "out of range"),
        (lambda raw: raw["files"]["regions/0.reference"].update(size=10**4000), "out of range"),
        (lambda raw: raw["files"]["regions/0.reference"].update(sha256="0" * 63), "SHA-256"),
        (lambda raw: raw.update(threads=0), "out of range"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change, message):
    raw = fields()
    change(raw)
    with pytest.raises(ArtifactError, match=message):
        parse(raw)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        "",
        "C:x",
        "a\\b",
        "a\x00b",
        "\ud800",
        "a/" * 600,
    ],
)
def test_a_path_that_leads_out_is_refused(name):
    raw = fields()
    raw["files"][name] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(ArtifactError, match="not a path inside the artifact"):
        parse(raw)
    if "\ud800" not in name:
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(raw)


def leaves(value, path=()):
    """Every path into nested JSON."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


PATHS = [path for path in leaves(fields()) if path and path[0] not in ("digest", "versions", "passes")]
JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON |= st.lists(JSON, max_size=2) | st.dictionaries(st.text(max_size=3), JSON, max_size=2)


@given(st.sampled_from(PATHS), JSON)
def test_a_field_of_any_other_type_is_refused_or_harmless(path, value):
    raw = copy.deepcopy(fields())
    holder = raw
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(raw)
    with contextlib.suppress(ArtifactError):
        parse(raw)
        assert valid, "what the reader takes, the published schema takes"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything_else_is_not_a_manifest(data):
    with pytest.raises(ArtifactError):
        parse_manifest(data, "m.gopt")


def test_deep_nesting_is_refused_without_a_crash():
    with pytest.raises(ArtifactError, match="not valid JSON"):
        parse_manifest(b"[" * 100_000, "m.gopt")
