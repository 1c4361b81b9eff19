"""Slots of transfers out (LIMITS, max-transfers-out, max-transfers-waiting)."""

from __future__ import annotations

import asyncio

import pytest

from dnsserver.answerer.transfers import Slots


def test_those_past_the_limit_wait_in_their_order_and_past_that_they_are_turned_away() -> None:
    async def scene() -> None:
        slots = Slots(1, 2)
        assert await slots.take()
        order: list[str] = []

        async def one(name: str) -> None:
            assert await slots.take()
            order.append(name)

        waiting = [asyncio.create_task(one(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        assert await slots.take() is False
        slots.give_back()
        await waiting[0]
        assert order == ["first"]
        slots.give_back()
        await waiting[1]
        assert order == ["first", "second"]

    asyncio.run(scene())


def test_one_that_gave_up_waiting_takes_no_slot() -> None:
    async def scene() -> None:
        slots = Slots(1, 2)
        assert await slots.take()
        gone, stays = (asyncio.create_task(slots.take()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        slots.give_back()
        assert await stays
        slots.give_back()
        assert await slots.take()

    asyncio.run(scene())


def test_one_that_is_cancelled_as_it_gets_its_slot_gives_it_back() -> None:
    async def scene() -> None:
        slots = Slots(1, 2)
        assert await slots.take()
        lucky = asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        slots.give_back()
        lucky.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lucky
        assert await slots.take()

    asyncio.run(scene())


def test_other_limits_let_those_that_wait_in() -> None:
    async def scene() -> None:
        slots = Slots(1, 2)
        assert await slots.take()
        waiting = asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        slots.resize(2, 0)
        assert await waiting
        assert await slots.take() is False
        slots.resize(1, 0)
        slots.give_back()
        assert await slots.take() is False
        slots.give_back()
        assert await slots.take()

    asyncio.run(scene())
