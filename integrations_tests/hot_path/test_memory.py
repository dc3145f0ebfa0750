"""Memory follows the batch, not the data: twelve parts take no more of it than four."""

import os
import subprocess
import sys
from functools import partial

from integrations_tests.hot_path.conftest import Shop
from integrations_tests.hot_path.counting import Memory, memory_of

POOL = "ARROW_DEFAULT_MEMORY_POOL"
FEW, MANY = 4, 12
PART = 500


def test_landing_more_parts_takes_no_more_memory(plain: Shop) -> None:
    """Whether the next page is there already when a part is written is chance, and so is whether
    Arrow is asked while a part is packed: so it may be two pages more, where keeping them would be
    eight, and one part more, where keeping them would be three times as much."""
    few, many = (landed(plain, parts=parts) for parts in (FEW, MANY))
    assert many.python - few.python < 2 * plain.page_bytes, (few, many)
    assert many.arrow < few.arrow * 2, (few, many)


def test_loading_more_parts_takes_no_more_memory(plain: Shop) -> None:
    """Neither Python nor Arrow holds more at its peak, but for what threads do by chance at the
    same moment: two parts' worth, where keeping them would be eight."""
    few, many = (loaded(plain, parts=parts) for parts in (FEW, MANY))
    assert many.python - few.python < 3 * plain.page_bytes, (few, many)
    assert many.arrow < few.arrow * 1.5, (few, many)


def landed(shop: Shop, *, parts: int) -> Memory:
    shop.zone.part = PART
    shop.holds(pages=parts, records=PART)
    assert len(shop.land().parts) == parts, "and what is made once is made"
    return memory_of(shop.land)


def loaded(shop: Shop, *, parts: int) -> Memory:
    shop.zone.part = PART
    shop.holds(pages=parts, records=PART)
    assert shop.sync().inserted == parts * PART
    return memory_of(partial(shop.load, shop.land()))


def test_arrow_gives_back_what_a_batch_needed() -> None:
    """By jemalloc, which must be chosen before pyarrow is imported, unless a person chose another."""
    show = "import integrations, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    for chosen, used in ((None, "jemalloc"), ("system", "system")):
        environment = {k: v for k, v in os.environ.items() if k != POOL}
        environment |= {POOL: chosen} if chosen else {}
        said = subprocess.run(
            [sys.executable, "-c", show],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == used
