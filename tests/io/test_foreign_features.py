"""Stores of other people."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from egolib.errors import EgolibError
from egolib.io.features import Provenance, open_store
from egolib.io.foreign_features import ForeignStore, LmdbBackend, write_archive, write_lmdb

ARRAYS = {uid: np.random.default_rng(i).random((3 + i, 4)) for i, uid in enumerate("abc")}


def write_folder(folder, suffix):
    folder.mkdir()
    for uid, array in ARRAYS.items():
        file = folder / f"{uid}{suffix}"
        if suffix == ".pt":
            torch.save(torch.from_numpy(array), file)
        elif suffix == ".npy":
            np.save(file, array)
        elif suffix == ".npz":
            np.savez(file, features=array)
        else:
            save_file({"features": array}, file)
    return folder


def write_single(file):
    arrays = {uid: array.astype(np.float32) for uid, array in ARRAYS.items()}
    if file.suffix == ".npz":
        return write_archive(file, arrays)
    if file.suffix == ".pt":
        torch.save({uid: torch.from_numpy(a) for uid, a in arrays.items()}, file)
    else:
        save_file(arrays, file)
    return file


def check(store):
    assert store.uids() == ["a", "b", "c"]
    assert store.provenance.width == 4
    for uid, array in ARRAYS.items():
        found = store.get(uid)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, array.astype(np.float32))
        assert store.length(uid) == len(array)


@pytest.mark.parametrize("suffix", [".pt", ".npy", ".npz", ".safetensors"])
def test_folders(tmp_path, suffix):
    check(open_store(write_folder(tmp_path / "store", suffix)))


@pytest.mark.parametrize("name", ["all.npz", "all.pt", "all.safetensors"])
def test_archives(tmp_path, name):
    check(open_store(write_single(tmp_path / name)))


@pytest.mark.parametrize("name", ["features", "token_features"])
def test_lmdb(tmp_path, name):
    path = write_lmdb(tmp_path / "store", ARRAYS.items(), name=name)
    (path / "lock.mdb").unlink()  # shared databases come without
    check(open_store(path))
    assert not (path / "lock.mdb").exists()


def test_lmdb_reads_what_old_numpy_wrote(tmp_path):
    import lmdb

    value = io.BytesIO()
    np.savez_compressed(value, allow_pickle=np.array(True), features=ARRAYS["a"])
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a", value.getvalue())
        transaction.put(b"broken", b"no npz")
    store = open_store(tmp_path, Provenance("video", 4))
    np.testing.assert_array_equal(store.get("a"), ARRAYS["a"].astype(np.float32))
    with pytest.raises(EgolibError, match=r"record broken.*damaged"):
        store.get("broken")


def test_one_token_may_be_flat(tmp_path):
    path = write_lmdb(tmp_path / "store", [("a", np.arange(4))], name="token_features")
    assert open_store(path).get("a").shape == (1, 4)


def test_stores_travel_to_other_processes(tmp_path):
    store = ForeignStore(LmdbBackend(write_lmdb(tmp_path / "store", ARRAYS.items())))
    check(pickle.loads(pickle.dumps(store)))


def test_errors_name_the_uid(tmp_path):
    store = open_store(write_folder(tmp_path / "store", ".npy"), Provenance("video", 4))
    with pytest.raises(EgolibError, match="no features"):
        store.get("aa")
    np.save(tmp_path / "store" / "a.npy", np.zeros((2, 5)))
    with pytest.raises(EgolibError, match="width 4"):
        store.get("a")


# ------------------------------------------------------------------ the usual forms

ROWS = ARRAYS["a"].astype(np.float32)
TENSOR = torch.from_numpy(ROWS)


@pytest.mark.parametrize(
    "content",
    [
        TENSOR.clone().requires_grad_(),
        torch.nn.Parameter(TENSOR.clone()),
        TENSOR.double(),
        {"features": TENSOR, "fps": 30},
        {"feat": TENSOR, "frame_ids": torch.arange(9)},
        {"anything": TENSOR},
        {"features": {"feat": TENSOR.numpy()}},
        list(TENSOR),
        [TENSOR],
        TENSOR.tolist(),
        TENSOR.numpy(),
    ],
)
def test_forms_of_pt_files(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    np.testing.assert_allclose(open_store(tmp_path).get("a"), ROWS, rtol=1e-6)


def test_half_precision(tmp_path):
    torch.save(TENSOR.bfloat16(), tmp_path / "a.pt")
    from safetensors.torch import save_file as save_tensors

    save_tensors({"features": TENSOR.bfloat16()}, tmp_path / "b.safetensors")
    store = open_store(tmp_path)
    for uid in "ab":
        np.testing.assert_array_equal(store.get(uid), TENSOR.bfloat16().float().numpy())


def test_positional_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", ROWS)
    np.testing.assert_array_equal(open_store(tmp_path).get("a"), ROWS)


def test_entries_that_cannot_be_told_apart_are_refused(tmp_path):
    torch.save({"rgb": TENSOR, "flow": TENSOR}, tmp_path / "a.pt")
    with pytest.raises(EgolibError, match=r"record a: .*none of features.* among rgb, flow"):
        open_store(tmp_path, Provenance("video", 4)).get("a")


def test_lmdb_with_bookkeeping_and_plain_arrays(tmp_path):
    import lmdb

    plain = io.BytesIO()
    np.save(plain, ROWS)
    path = write_lmdb(tmp_path / "store", ARRAYS.items())
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"__len__", b"3")
        transaction.put(b"keys", b"[a, b, c]")
        transaction.put(b"_d", plain.getvalue())
    store = open_store(path)
    assert store.uids() == ["_d", "a", "b", "c"]
    np.testing.assert_array_equal(store.get("_d"), ROWS)


def test_a_truncated_lmdb_is_refused_before_it_is_mapped(tmp_path):
    path = write_lmdb(tmp_path / "store", ((f"{i}", np.ones((900, 64))) for i in range(20)))
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(data[: len(data) // 2 // 4096 * 4096])
    with pytest.raises(EgolibError, match="the LMDB is truncated"):
        open_store(path)


def test_two_files_of_one_name_are_refused(tmp_path):
    folder = write_folder(tmp_path / "store", ".npy")
    torch.save(TENSOR, folder / "b.pt")
    with pytest.raises(EgolibError, match=r"record b: two files of one name, b\.npy and b\.pt"):
        open_store(folder)


def test_hidden_and_unfinished_files_are_ignored(tmp_path):
    folder = write_folder(tmp_path / "store", ".npy")
    for name in (".c.npy", "._a.npy", "d.tmp.npy", "e.part.npy", "~f.npy"):
        (folder / name).write_bytes(b"half")
    (folder / "g.npy").mkdir()
    check(open_store(folder))


@pytest.mark.parametrize("empty", [np.zeros((0, 4)), np.zeros(0), np.zeros((3, 0))])
def test_no_rows_are_refused(empty, tmp_path):
    np.save(tmp_path / "a.npy", empty)
    with pytest.raises(EgolibError, match="record a.*has no rows"):
        open_store(tmp_path, Provenance("video", 4)).get("a")


def test_texts_and_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([["1", "2"]]))
    np.save(tmp_path / "b.npy", np.ones((2, 4), complex))
    store = open_store(tmp_path, Provenance("video", 2))
    for uid in "ab":
        with pytest.raises(EgolibError, match=f"record {uid}: .*numbers are needed"):
            store.get(uid)


def test_what_is_no_store(tmp_path):
    with pytest.raises(EgolibError, match="no feature store"):
        open_store(tmp_path)
    with pytest.raises(EgolibError, match="empty"):
        open_store(write_lmdb(tmp_path / "store", []))


def test_pickles_are_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("executed",)

    torch.save(Trap(), tmp_path / "a.pt")
    with pytest.raises(EgolibError):
        open_store(tmp_path)
