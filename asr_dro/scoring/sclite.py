"""Alignments as NIST's sclite makes them: a substitution costs 4, an insertion or a deletion 3.

The total may exceed the Levenshtein distance: two insertions and two deletions (12) tie with three substitutions (12).
Where costs tie, sclite takes the substitution or match first, then the insertion, then the deletion; that is followed
here, so that the counts are the same, not only the cost. Source: SCTK 2.4, ``net_dp.c`` and ``word.c``.

sclite's own syntax inside a transcript (``{a / b}`` for alternatives, ``@`` for nothing) is not read as such: these are
characters like others here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_dro.scoring.error_rate import lengths, levenshtein_substitutions

SUBSTITUTION, GAP = 4, 3  # costs
_BATCH = 2048  # pairs aligned at once: few enough that the tables stay in the processor's cache
_LONGEST_NARROW = 8_000  # characters of both texts together up to which 32 bits hold cost and count

Counts = npt.NDArray[np.int64]
_Integers = npt.NDArray[np.int32 | np.int64]


@dataclass(frozen=True)
class _Packing:
    """How cost, rank among ties and number of substitutions share one integer, so that one minimum decides all."""

    dtype: type[np.int32] | type[np.int64]
    count_bits: int

    @property
    def cost(self) -> int:
        """One unit of cost."""
        return 1 << (self.count_bits + 2)

    def rank(self, rank: int) -> int:
        """Rank among ties, 0 to 2; the least wins."""
        return rank << self.count_bits

    @property
    def without_rank(self) -> int:
        """Mask that removes the rank."""
        return ~self.rank(3)

    @property
    def unreachable(self) -> int:
        """More than any cost, with room to add one more."""
        return int(np.iinfo(self.dtype).max) - 8 * self.cost


_NARROW, _WIDE = _Packing(np.int32, 13), _Packing(np.int64, 24)


def fold_case(text: str) -> str:
    """Bring A to Z to lower case and leave all else, as sclite does without ``-s`` to text that it takes for bytes."""
    return text.lower() if text.isascii() else text.encode().lower().decode()


def fold_cases(texts: Sequence[str]) -> list[str]:
    """Bring A to Z to lower case in many texts without line ends."""
    return fold_case("\n".join(texts)).split("\n") if texts else []


def count_errors_like_sclite(references: Sequence[str], hypotheses: Sequence[str]) -> Counts:
    """Count the errors of many pairs of texts; units are code points.

    Args:
        references: P texts.
        hypotheses: The hypothesis of each.

    Returns:
        ``(4, P)``: length of the reference, substitutions, deletions, insertions, as sclite counts them.
    """
    n, m = lengths(references), lengths(hypotheses)
    # M matches and S substitutions cost 3(n + m) - 6M - 2S, and are n + m - 2M - S errors. An alignment that has both
    # the most matches and the fewest errors has the most of M + (2M + S), so it costs least, and others as cheap have
    # the same M and S.
    distances, substitutions, is_cheapest = levenshtein_substitutions(references, hypotheses)
    insertions = (distances - substitutions - n + m) // 2
    (hard,) = np.nonzero(~is_cheapest)
    hard = hard[np.lexsort((n[hard] + m[hard], distances[hard] // 3))]  # alike in width, then in length
    for start in range(0, len(hard), _BATCH):
        batch = hard[start : start + _BATCH]
        batch = batch[np.argsort(n[batch] + m[batch], kind="stable")]
        pairs = [(references[i], hypotheses[i]) for i in batch.tolist()]
        substitutions[batch], costs = _substitutions_and_costs(pairs, distances[batch])
        gaps = costs - SUBSTITUTION * substitutions[batch]
        insertions[batch] = (gaps - GAP * (n[batch] - m[batch])) // (2 * GAP)
    return np.stack([n, substitutions, insertions + n - m, insertions])


def align_like_sclite(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> list[tuple[str, str] | tuple[str, None] | tuple[None, str]]:
    """Align one pair of sequences.

    Args:
        reference: Characters or words, in the form that is compared.
        hypothesis: The same.

    Returns:
        Pairs from the beginning to the end: equal or substituted units, ``(unit, None)`` for a deletion, ``(None,
        unit)`` for an insertion.
    """
    table = _cost_table(reference, hypothesis)
    i, j = len(reference), len(hypothesis)
    path: list[tuple[str, str] | tuple[str, None] | tuple[None, str]] = []
    while i or j:
        if i and j and table[i][j] == table[i - 1][j - 1] + SUBSTITUTION * (reference[i - 1] != hypothesis[j - 1]):
            i, j = i - 1, j - 1
            path.append((reference[i], hypothesis[j]))
        elif j and table[i][j] == table[i][j - 1] + GAP:
            j -= 1
            path.append((None, hypothesis[j]))
        else:
            i -= 1
            path.append((reference[i], None))
    return path[::-1]


def _cost_table(reference: Sequence[str], hypothesis: Sequence[str]) -> list[list[int]]:
    """Return the least cost of each pair of beginnings."""
    table = [[GAP * j for j in range(len(hypothesis) + 1)]]
    for unit in reference:
        above, left = table[-1], table[-1][0] + GAP
        row = [left]
        for j, other in enumerate(hypothesis):
            left = min(above[j] + (unit != other and SUBSTITUTION), left + GAP, above[j + 1] + GAP)
            row.append(left)
        table.append(row)
    return table


def _substitutions_and_costs(pairs: Sequence[tuple[str, str]], distances: Counts) -> tuple[Counts, Counts]:
    """Align pairs side by side, one anti-diagonal of their tables after the other.

    Row k of the state holds, for each pair, the last cell (i, j) that was visited with i - j = k. A step visits the
    cells with i + j = s, which lie in every other row: the row itself still holds (i - 1, j - 1), its neighbours hold
    (i - 1, j) and (i, j - 1). No path of the least cost, at most 4 x distance, leaves the rows kept here.

    Args:
        pairs: P pairs, sorted by the sum of their lengths.
        distances: Levenshtein distance of each.

    Returns:
        Number of substitutions and cost of each pair.
    """
    lengths = np.array([(len(reference), len(hypothesis)) for reference, hypothesis in pairs])
    surplus, reach = lengths[:, 0] - lengths[:, 1], SUBSTITUTION * distances
    lowest = -int(((reach - GAP * surplus) // (2 * GAP)).max())
    highest = int(((reach + GAP * surplus) // (2 * GAP)).max())
    sums = lengths.sum(axis=1)
    packing = _NARROW if sums[-1] <= _LONGEST_NARROW else _WIDE
    state = np.full((highest - lowest + 3, len(pairs)), packing.unreachable, packing.dtype)  # one row more at each end
    state[1 - lowest] = 0
    units = _columns([reference for reference, _ in pairs]), _columns([hypothesis for _, hypothesis in pairs])[::-1]
    result = np.zeros(len(pairs), np.int64)
    starts = np.searchsorted(sums, np.arange(sums[-1] + 2))  # the first pair that is not done before step s
    for step, rows, references, hypotheses in _steps(lengths.max(axis=0), lowest, highest):
        if step > sums[-1]:  # the longest reference and the longest hypothesis may be of different pairs
            break
        first = int(starts[step])
        _step(state[:, first:], rows, units[0][references, first:] != units[1][hypotheses, first:], packing)
        done = np.arange(first, starts[step + 1])
        result[done] = state[surplus[done] - lowest + 1, done]
    return result & (packing.rank(1) - 1), result // packing.cost


def _step(state: _Integers, rows: slice, differ: npt.NDArray[np.bool_], packing: _Packing) -> None:
    """Visit the cells of one anti-diagonal, in place."""
    below = slice(rows.start - 1, rows.stop - 1, 2)
    above = slice(rows.start + 1, rows.stop + 1, 2)
    best = differ * packing.dtype(SUBSTITUTION * packing.cost + 1) + state[rows]
    np.minimum(best, state[above] + packing.dtype(GAP * packing.cost + packing.rank(1)), out=best)  # insertion
    np.minimum(best, state[below] + packing.dtype(GAP * packing.cost + packing.rank(2)), out=best)  # deletion
    np.bitwise_and(best, packing.dtype(packing.without_rank), out=state[rows])


def _steps(longest: npt.NDArray[np.integer], lowest: int, highest: int) -> Iterator[tuple[int, slice, slice, slice]]:
    """Yield each anti-diagonal: its number, its rows of the state, of the references, of the reversed hypotheses."""
    n, m = map(int, longest)
    for step in range(1, n + m + 1):
        first = max(0, step - m, -(-(step + lowest) // 2))
        last = min(n, step, (step + highest) // 2)
        if first <= last:
            row = 2 * first - step - lowest + 1
            count = last - first + 1
            place = m - (step - first)  # of unit j = step - first in the reversed hypotheses; it grows with i
            yield step, slice(row, row + 2 * count - 1, 2), slice(first, last + 1), slice(place, place + count)


def _columns(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return code points, ``(1 + longest, texts)``; row 0 is empty, so that row i holds unit i."""
    longest = max(map(len, texts))
    padded = "".join(" " + text.ljust(longest) for text in texts)
    table = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32).reshape(len(texts), longest + 1)
    return np.ascontiguousarray(table.T)
