"""The samples of a run's generations as TFDS data sets, stored as array_record, without TensorFlow.

TFDS is slow to import and may be missing where models are trained, so other modules import this one where they use it.

Axes: N samples, L symbols of the longest sample of the generation (at least 1).
"""

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from logic.ids import lengths, pad
from logic.language import Verdicts
from loop.blocks import Scores
from loop.cell import KINDS, Cell

BLOCK = 1024  # samples of one TFDS example: TFDS works per example, so one example per sample takes minutes


def _array(dtype: type, *shape: int | None, doc: str) -> tfds.features.Tensor:
    """An array stored as its bytes: faster than TFDS's lists of numbers, which also cut float64 to 32 bits."""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes", doc=doc)


@dataclasses.dataclass(frozen=True)
class Samples:
    """What one cell's model wrote in one generation, in the order of writing."""

    expressions: list[bytes]  # N
    verdicts: Verdicts  # bool_N each
    cell: Cell
    generation: int
    scores: Scores = dataclasses.field(default_factory=dict)  # float32_N each; not every cell has them
    edited: Sequence[bytes] = ()  # real examples of the next block, as a remedy has edited them

    def __post_init__(self) -> None:
        sizes = [len(self.expressions), *map(len, self.verdicts.values()), *map(len, self.scores.values())]
        if len(set(sizes)) > 1:
            raise ValueError(f"sizes of expressions, verdicts and scores = {sizes}: they must be equal")


def _features(
    length: int, verdicts: Iterable[str], scores: Iterable[str] = (), edited: bool = False
) -> dict[str, tfds.features.FeatureConnector]:
    """The features of a block of n samples. `length` is fixed, since TFDS 4.9 misreads an array whose shape has
    two unknown sizes and whose content has fewer bytes than sizes, such as n expressions of no symbols."""
    return {
        "symbols": _array(np.uint8, None, length, doc="ids, one row per sample, padded with 0"),
        "length": _array(np.int32, None, doc="symbols of each sample"),
        **{name: _array(np.bool_, None, doc=f"verdict of each sample: {name}") for name in verdicts},
        **{
            name: _array(np.float32, None, doc=f"score of each sample, NaN if there is none: {name}") for name in scores
        },
        **(_edited_features(length) if edited else {}),
        "index": _array(np.int64, None, doc="position among the samples of this cell and generation"),
        **{name: _KEY_FEATURES[kind](f"{name} of the cell") for name, kind in KINDS.items()},
        "generation": _array(np.int64, doc="generation that wrote the samples"),
    }


def _edited_features(length: int) -> dict[str, tfds.features.FeatureConnector]:
    """Of a block of any number of real examples, which have nothing to do with the block's samples."""
    return {
        "edited_symbols": _array(np.uint8, None, length, doc="real examples of the next training set, as edited: ids"),
        "edited_length": _array(np.int32, None, doc="symbols of each of them"),
    }


_KEY_FEATURES: dict[type, Callable[[str], tfds.features.FeatureConnector]] = {
    str: lambda doc: tfds.features.Text(doc=doc),
    float: lambda doc: _array(np.float64, doc=doc),
    int: lambda doc: _array(np.int64, doc=doc),
}


def split_name(cell: str) -> str:
    """The TFDS split of a cell: TFDS allows no dot, so `full_fresh0.25_seed0` becomes `full_fresh0p25_seed0`."""
    name = cell.replace(".", "p")
    if not re.fullmatch(r"[\w-]+", name, re.ASCII) or name == "all":
        raise ValueError(f"cell = {cell!r}: allowed are letters, digits, '_', '-' and '.', but not 'all'")
    return name


def write_samples(directory: Path | str, samples_by_cell: Mapping[str, Samples]) -> None:
    """Writes a generation's samples as a TFDS data set in `directory`, one split per cell.

    Anyone can read it, without this code:

        import tensorflow_datasets as tfds
        builder = tfds.builder_from_directory(directory)
        for block in builder.as_data_source("full_fresh0p25_seed0"): ...

    A block is up to `BLOCK` samples, in order, as NumPy arrays: uint8 `symbols` (n, L), padded with 0, and so
    on, see `_features`. The data set is made in a hidden sibling directory, whose name ends in `.tmp` (left over by a
    killed run, it is removed by the next), and renamed when complete, so `directory` is never half written; one that
    exists is removed just before. One process writes a given directory at a time.
    Raises ValueError for no cells, or cells whose names make the same split.
    """
    directory = Path(directory)
    splits = {split_name(cell): samples for cell, samples in samples_by_cell.items()}
    if not splits or len(splits) < len(samples_by_cell):
        raise ValueError(f"cells = {list(samples_by_cell)}: one or more, of different split names, are needed")
    new = directory.with_name(f".{directory.name}.tmp")
    old = directory.with_name(f".{directory.name}.gone")
    for left_over in (new, old):
        if left_over.exists():
            shutil.rmtree(left_over)
    new.mkdir(parents=True)
    length = max([1, *(len(e) for samples in splits.values() for e in (*samples.expressions, *samples.edited))])
    # The quickest way that TFDS offers: download_and_prepare would shuffle and write everything twice.
    verdicts = list(dict.fromkeys(name for samples in splits.values() for name in samples.verdicts))
    scores = list(dict.fromkeys(name for samples in splits.values() for name in samples.scores))
    edited = any(samples.edited for samples in splits.values())
    features = _features(length, verdicts, scores, edited)
    writer = tfds.core.SequentialWriter(_info(new, features), 1 << 40, file_format="array_record")
    writer.initialize_splits(list(splits))
    writer.add_examples({split: _blocks(samples, length, scores, edited) for split, samples in splits.items()})
    writer.close_all()
    if directory.exists():
        directory.rename(old)
    new.rename(directory)
    if old.exists():
        shutil.rmtree(old)


def belongs_to(file: str, cell: str) -> bool:
    """Whether a file of a data set of samples is read for this cell: the cell's own records, and the descriptions."""
    return ".array_record-" not in file or file.startswith(f"samples-{split_name(cell)}.array_record-")


def read_samples(directory: Path | str, cell: str) -> Samples:
    """Reads back what `write_samples` wrote for a cell, given its name or its split's.

    Raises FileNotFoundError for a directory without a data set, KeyError for a cell that is not there.
    """
    directory = Path(directory)
    if not (directory / "dataset_info.json").is_file():
        raise FileNotFoundError(f"directory = {directory}: no data set of samples is there")
    builder = tfds.builder_from_directory(directory)
    if split_name(cell) not in builder.info.splits:
        raise KeyError(f"cell = {cell!r}: {directory} has {sorted(builder.info.splits)}")
    blocks = list(builder.as_data_source(split_name(cell)))
    expressions = _rows(blocks, "symbols", "length")
    edited = _rows(blocks, "edited_symbols", "edited_length") if "edited_length" in blocks[0] else []
    verdicts = {name: np.concatenate([block[name] for block in blocks]) for name in verdict_names(builder)}
    scores = {name: np.concatenate([block[name] for block in blocks]) for name in _of_dtype(builder, np.float32)}
    scores = {name: score for name, score in scores.items() if not np.isnan(score).all()}  # others are other cells'
    keys = {name: blocks[0][name] for name in KINDS if name in blocks[0]}
    keys = {name: value.decode() if isinstance(value, bytes) else KINDS[name](value) for name, value in keys.items()}
    return Samples(expressions, verdicts, Cell(**keys), int(blocks[0]["generation"]), scores, edited)


def _rows(blocks: Sequence[Mapping[str, Any]], symbols: str, length: str) -> list[bytes]:
    """The rows of padded ids, cut to their lengths."""
    rows: list[bytes] = []
    for block in blocks:
        width, flat = block[symbols].shape[1], block[symbols].tobytes()
        rows += [flat[i * width : i * width + n] for i, n in enumerate(block[length].tolist())]
    return rows


def verdict_names(builder: tfds.core.DatasetBuilder) -> list[str]:
    """The verdicts that a data set has of its samples."""
    return _of_dtype(builder, np.bool_)


def _of_dtype(builder: tfds.core.DatasetBuilder, dtype: type) -> list[str]:
    """The features of that type besides those that every data set has."""
    others = {name: f for name, f in builder.info.features.items() if name not in {*_features(1, (), (), True), *KINDS}}
    return [name for name, feature in others.items() if np.dtype(feature.np_dtype) == dtype]


def _info(directory: Path, features: Mapping[str, tfds.features.FeatureConnector]) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name="samples", version=tfds.core.Version("1.0.0"), data_dir=str(directory), module_name=""
        ),
        description=(
            "What the models of one generation wrote, with verdicts. One split per cell; one example is a block "
            f"of up to {BLOCK} samples, in order."
        ),
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )


def _blocks(samples: Samples, length: int, scores: Iterable[str], edited: bool) -> Iterator[dict[str, Any]]:
    """The TFDS examples of a cell; a cell without samples has one block of none, which keeps its provenance."""
    for start in range(0, max(len(samples.expressions), len(samples.edited), 1), BLOCK):
        block = slice(start, start + BLOCK)
        expressions = samples.expressions[block]
        yield {
            "symbols": pad(expressions, length),
            "length": lengths(expressions).astype(np.int32),
            **{name: verdict[block] for name, verdict in samples.verdicts.items()},
            **{name: _score(samples, name)[block] for name in scores},
            **(_edited(samples.edited[block], length) if edited else {}),
            "index": np.arange(start, start + len(expressions)),
            **{name: _scalar(value) for name, value in samples.cell.keys.items()},
            "generation": np.int64(samples.generation),
        }


def _edited(expressions: Sequence[bytes], length: int) -> dict[str, np.ndarray]:
    return {"edited_symbols": pad(expressions, length), "edited_length": lengths(expressions).astype(np.int32)}


def _score(samples: Samples, name: str) -> np.ndarray:
    none = np.full(len(samples.expressions), np.nan, np.float32)
    return samples.scores.get(name, none).astype(np.float32)


def _scalar(value: str | float | int) -> Any:
    return value if isinstance(value, str) else np.float64(value) if isinstance(value, float) else np.int64(value)
