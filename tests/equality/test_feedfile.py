import ml_dtypes
import numpy as np
import pytest

from graphopt.equality.feedfile import load_feeds, save_feeds
from graphopt.errors import FeedError

NAMES = ["x", "x:0", "gpu_0/data_0", "file", "allow_pickle", "", "/a/../b", "a\\b", "0", "x.npy", "ü \n"]


def test_any_name_travels_in_order(tmp_path):
    feeds = {name: np.full((2, index), index, np.int32) for index, name in enumerate(NAMES)}
    save_feeds(tmp_path / "f.npz", feeds)
    found = load_feeds(tmp_path / "f.npz")
    assert list(found) == NAMES
    for name, array in feeds.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3.5).reshape(()),
        np.zeros((0, 3), np.float16),
        np.arange(12).reshape(3, 4).T,
        np.array([True, False]),
        np.array([1 + 2j]),
        np.ones((2, 3), ml_dtypes.bfloat16),
        np.ones((), ml_dtypes.float8_e4m3fn),
        np.arange(-2, 3).astype(ml_dtypes.int4),
        np.array(["a", "", "längere"], object),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_any_dtype_and_shape_travels(tmp_path, array):
    save_feeds(tmp_path / "f.npz", {"x": array})
    found = load_feeds(tmp_path / "f.npz")["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array, strict=True)


def test_a_plain_npz_file_is_read_as_it_is(tmp_path):
    np.savez(tmp_path / "f.npz", a=np.arange(3), b=np.ones(2))
    assert sorted(load_feeds(tmp_path / "f.npz")) == ["a", "b"]


def test_the_file_is_called_as_asked(tmp_path):
    save_feeds(tmp_path / "no_suffix", {"x": np.ones(1)})
    assert (tmp_path / "no_suffix").is_file()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(FeedError, match="cannot read inputs") as caught:
        load_feeds(tmp_path / "f.npz")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FeedError, match="No such file"):
        load_feeds(tmp_path / "absent.npz")
    np.save(tmp_path / "one.npy", np.ones(1))
    with pytest.raises(FeedError, match=r"no \.npz file"):
        load_feeds(tmp_path / "one.npy")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], object), allow_pickle=True)
    with pytest.raises(FeedError, match="cannot read inputs"):
        load_feeds(tmp_path / "pickled.npz")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FeedError, match="cannot write"):
        save_feeds(tmp_path / "absent" / "f.npz", {})


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(FeedError, match="No such file") as caught:
        load_feeds(tmp_path / "missing.npz")
    assert "\n" not in str(caught.value)


def test_an_index_that_lies_is_one_line(tmp_path):
    np.savez(tmp_path / "f.npz", __graphopt_feeds__=np.array('[{"name": "x"}]'), other=np.ones(1))
    with pytest.raises(FeedError, match="cannot read inputs") as caught:
        load_feeds(tmp_path / "f.npz")
    assert "\n" not in str(caught.value)


def test_an_archive_without_arrays_is_empty(tmp_path):
    np.savez(tmp_path / "f.npz")
    assert load_feeds(tmp_path / "f.npz") == {}


def test_pickled_strings_are_refused_with_the_way_to_store_them(tmp_path):
    np.savez(tmp_path / "f.npz", x=np.array(["a", "b"], object))
    with pytest.raises(FeedError) as caught:
        load_feeds(tmp_path / "f.npz")
    assert "astype(str)" in caught.value.hint
