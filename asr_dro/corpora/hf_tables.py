"""Tables of a saved Hugging Face dataset: Arrow streams of ``save_to_disk``, or parquet shards as the hub has them.

Read with pyarrow alone, batch by batch: nothing is loaded as a whole, and nothing goes to the network. In a folder that
``save_to_disk`` wrote, ``dataset_dict.json`` names the splits and each split's ``state.json`` the Arrow files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from asr_dro.corpora.manifest_languages import SPLIT_NAMES
from asr_dro.errors import UserError

_SHARD = re.compile(r"([A-Za-z0-9_.]+?)(?:-[0-9].*)?\.parquet")  # train.parquet, train-00000-of-00002.parquet
_POINTER = b"version https://git-lfs"

IsWanted = Callable[[int, int], bool]  # first row, number of rows


@dataclass(frozen=True)
class Table:
    """One split.

    Args:
        files: Arrow streams or parquet files, in order.
        states: Files that name them.
    """

    files: tuple[Path, ...]
    states: tuple[Path, ...] = ()

    def schema(self) -> Any:
        """Return names and types of the columns as a ``pyarrow.Schema``.

        Raises:
            UserError: If a file cannot be read or has other columns than the first.
        """
        first = None
        for path in self.files:
            with _explained(path):
                schema = _open_parquet(path).schema_arrow if _is_parquet(path) else _open_stream(path).schema
                _decode_names(schema)
            if not schema.equals(first or schema):
                raise UserError(f"{path} has other columns than {self.files[0]}")
            first = first or schema
        return first or pyarrow.schema([])

    def batches(
        self, columns: Sequence[str], is_wanted: IsWanted | None = None, *, rows_at_once: int = 4096
    ) -> Iterator[tuple[int, Any]]:
        """Read some columns.

        Args:
            columns: Their names, at least one.
            is_wanted: Tells by first row and number of rows whether to read a portion at all.
            rows_at_once: Most rows of a batch of a parquet file; Arrow streams have batches of their own.

        Yields:
            Number of the first row in the split, and a ``pyarrow.RecordBatch`` that has the columns.

        Raises:
            UserError: If a file is damaged.
        """
        first = 0
        for path in self.files:
            with _explained(path):
                wanted = is_wanted or _everything
                if _is_parquet(path):
                    portions = _parquet_batches(path, columns, first, wanted, rows_at_once)
                else:
                    portions = _stream_batches(path, columns, first, wanted)
                for rows, batch in portions:
                    if batch is not None:
                        _validate(batch, columns)
                        yield first, batch
                    first += rows


def _decode_names(fields: Iterable[Any]) -> None:
    """Decode all names of columns and of what is inside them, so that one that is not UTF-8 is found here."""
    for field in fields:
        _ = field.name
        _decode_names(field.type.field(index) for index in range(field.type.num_fields))


def _everything(first: int, rows: int) -> bool:
    return True


def _validate(batch: Any, columns: Sequence[str]) -> None:
    """Check that the offsets of a damaged file do not lead out of its memory."""
    for column in columns:
        array = batch.column(column)
        if pyarrow.types.is_string(array.type):  # what is not UTF-8 is a matter of its row
            array = array.cast(pyarrow.binary())
        elif pyarrow.types.is_large_string(array.type):
            array = array.cast(pyarrow.large_binary())
        array.validate(full=True)


def _parquet_batches(
    path: Path, columns: Sequence[str], first: int, is_wanted: IsWanted, rows_at_once: int
) -> Iterator[tuple[int, Any]]:
    with _open_parquet(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if not is_wanted(first, rows):
                yield rows, None
            else:
                # one group at a time: the pages of the others stay on the disk
                for batch in file.iter_batches(rows_at_once, [group], list(columns), use_threads=False):
                    yield batch.num_rows, batch
            first += rows


def _stream_batches(path: Path, columns: Sequence[str], first: int, is_wanted: IsWanted) -> Iterator[tuple[int, Any]]:
    fields = [_open_stream(path).schema.get_field_index(column) for column in columns]
    for batch in _open_stream(path, fields):
        yield batch.num_rows, batch if is_wanted(first, batch.num_rows) else None
        first += batch.num_rows


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _open_parquet(path: Path) -> Any:
    return pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)


def _open_stream(path: Path, fields: Sequence[int] | None = None) -> Any:
    options = pyarrow.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
    return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)), options=options)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        first_line = str(error).split("\n")[0]
        reason = first_line if first_line.isprintable() and first_line else type(error).__name__
        if path.is_file() and _starts_with(path, _POINTER):
            reason = "it is the pointer that Git LFS leaves in place of a file; run git lfs pull"
        raise UserError(f"{path} cannot be read: {reason}") from None


def _starts_with(path: Path, start: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def find_tables(source: Path) -> tuple[dict[str, Table], list[str]]:
    """Find the splits of a dataset.

    Args:
        source: Folder that ``save_to_disk`` wrote, or with parquet files in it, in ``data/`` or in a folder per split.

    Returns:
        ``{split: table}`` with train, dev or test, and what a user should know of it.

    Raises:
        UserError: If there is no dataset, a file is missing, or a split is there twice.
    """
    if not source.is_dir():
        raise UserError(
            f"{source} is not a folder; set HF_DATASET to one that save_to_disk wrote or with parquet files"
        )
    remarks = []
    if (source / "dataset_dict.json").exists():
        names: Any = _read_json(source / "dataset_dict.json").get("splits")
        if not _are_names(names):
            raise UserError(f"{source / 'dataset_dict.json'} does not list the splits")
        tables = {name: _saved_table(source / name, source / "dataset_dict.json") for name in names}
    elif (source / "state.json").exists():
        tables = {"train": _saved_table(source)}
        remarks.append("it is a single split, which is taken for train")
    else:
        tables = _parquet_tables(source)
    return _known_splits(source, tables, remarks), remarks


def _known_splits(source: Path, tables: dict[str, Table], remarks: list[str]) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name, table in sorted(tables.items()):
        split = SPLIT_NAMES.get(name)
        if split is None:
            remarks.append(f"split {name!a} is left out; the splits are train, validation (or dev, valid) and test")
        elif split in found:
            raise UserError(f"{source} has several splits for {split}: {', '.join(sorted(tables))}; keep one of them")
        else:
            found[split] = table
    if "train" not in found:
        raise UserError(f"{source} has no split train; splits there: {', '.join(sorted(tables)) or 'none'}")
    return found


def _saved_table(folder: Path, *states: Path) -> Table:
    state = _read_json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise UserError(f"{folder} was saved with an index by an old version of datasets; load it and save it again")
    files = state.get("_data_files")
    listed = files if isinstance(files, list) else [None]
    names = [file.get("filename") if isinstance(file, dict) else None for file in listed]
    if not _are_names(names):
        raise UserError(f"{folder / 'state.json'} does not list the files of the dataset")
    return Table(tuple(folder / str(name) for name in names), (*states, folder / "state.json"))


def _are_names(names: object) -> bool:
    """Tell whether these are names of files, none of which leads out of its folder."""
    return isinstance(names, list) and all(
        isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name for name in names
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UserError(f"{path} cannot be read: {reason}; is the dataset complete?") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} cannot be read: not a JSON object")
    return value


def _parquet_tables(source: Path) -> dict[str, Table]:
    files: dict[str, list[Path]] = {}
    for folder in (source, source / "data"):
        for path in sorted(folder.glob("*.parquet")):
            if match := _SHARD.fullmatch(path.name):
                files.setdefault(match[1], []).append(path)
        for name in SPLIT_NAMES:
            if shards := sorted((folder / name).glob("*.parquet")):
                files.setdefault(name, []).extend(shards)
    if not files:
        markers = {
            path.parent
            for name in ("dataset_dict.json", "state.json", "*.parquet")
            for path in source.glob(f"*/{name}")
        }
        below = ", ".join(sorted(path.name for path in markers)[:10])
        raise UserError(
            f"{source} holds neither what save_to_disk writes (dataset_dict.json or state.json) nor parquet files "
            f"(train-*.parquet, also in data/){f'; datasets are below it, give one of them: {below}' if below else ''}"
        )
    return {name: Table(tuple(paths)) for name, paths in files.items()}
