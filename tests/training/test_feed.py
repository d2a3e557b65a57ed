"""Order and errors of what is made ahead."""

import time
from itertools import count, islice

import pytest
import torch

from revseg.training.feed import generator_for, made_ahead, shuffled_position

CPU = torch.device("cpu")


def test_order_does_not_depend_on_who_is_ready_first() -> None:
    def make(index: int) -> int:
        time.sleep(0.02 if index % 2 else 0.0)
        return index

    items = made_ahead(make, count(5), ahead=3, device=CPU)
    assert list(islice(items, 7)) == list(range(5, 12))
    items.close()


def test_error_comes_out_where_the_item_would() -> None:
    def make(index: int) -> int:
        if index == 2:
            raise ValueError("broken video")
        return index

    items = made_ahead(make, count(), ahead=2, device=CPU)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="broken video"):
        next(items)


@pytest.mark.parametrize(("device", "threads"), [("cpu", 1), ("meta", 2)])
def test_items_do_not_take_the_threads_of_a_network_on_the_cpu(device: str, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        items = made_ahead(lambda _: torch.get_num_threads(), count(), ahead=2, device=torch.device(device))
        assert list(islice(items, 4)) == [threads] * 4
        items.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_every_epoch_has_all_in_another_order() -> None:
    epochs = [[shuffled_position(7 * epoch + i, 7, seed=0) for i in range(7)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_random_numbers_are_a_function_of_the_key() -> None:
    def draw(purpose: str, seed: int, number: int) -> float:
        return torch.rand((), generator=generator_for(purpose, seed, number)).item()

    assert draw("a", 0, 5) == draw("a", 0, 5)
    assert len({draw("a", 0, 5), draw("a", 0, 6), draw("a", 1, 5), draw("b", 0, 5)}) == 4
