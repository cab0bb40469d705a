"""Bull Board, used as people use it: looked at and clicked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from berrante.app import Application
from berrante.engine import Connection, Job, JobOptions, NewJob, Queue, State, Worker, WorkerOptions
from berrante.engine.connection import system_clock
from tests.browser.conftest import EMAIL, PASSWORD, Visit
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # as root it may install Chromium first

BOARD = "/admin/queues"
Theme = dict[str, object]
LIGHT: Theme = {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}}
DARK: Theme = {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}}
PHONE: Theme = {"color_scheme": "light", "viewport": {"width": 390, "height": 844}}


@asynccontextmanager
async def visiting(browser: Browser, address: str, theme: Theme = LIGHT) -> AsyncIterator[Visit]:
    context = await browser.new_context(**theme)
    visit = Visit(await context.new_page())
    await _log_in(visit.page, address, PASSWORD)
    visit.listen()
    yield visit
    await context.close()
    assert visit.complaints == []


@pytest.fixture
async def message(application: Application, redis_url: str) -> Queue:
    """The queue ``message`` with 3 failed, 9 completed and 4 delayed jobs, all a minute old."""
    queue = application.queues.message
    async with Connection.from_url(redis_url, clock=lambda: system_clock() - 60_000) as past:
        old = Queue(queue.name, past, prefix=queue.prefix)
        await old.add_bulk([NewJob("incoming", {"n": n}, JobOptions(job_id=f"acme-a/{n}==")) for n in range(12)])
        await old.add_bulk([NewJob("receipt", {"n": n}, JobOptions(delay_ms=3_600_000)) for n in range(4)])
        await _work(old, 12)
    assert await _counts(queue) == {"failed": 3, "completed": 9, "delayed": 4}
    return queue


async def test_the_owner_sees_every_queue_light_dark_and_on_a_phone(
    browser: Browser, address: str, message: Queue
) -> None:
    for name, theme in {"light": LIGHT, "dark": DARK, "phone": PHONE}.items():
        async with visiting(browser, address, theme) as visit:
            page = visit.page
            await page.goto(f"{address}{BOARD}/")
            for queue in ("message", "automation", "campaign", "outbound", "dead-letter", "maintenance"):
                await expect(page.get_by_role("link", name=queue, exact=True).last).to_be_visible()
            await visit.photograph(f"overview-{name}")
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            await page.goto(f"{address}{BOARD}/queue/message?status=failed")
            await expect(page.get_by_text("provider 500").first).to_be_visible()  # a script of a worker's coloured it
            await visit.photograph(f"failed-{name}")
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_nobody_else_sees_anything(browser: Browser, address: str) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{address}{BOARD}/")
    await page.wait_for_url("**/login?next=*")
    await _log_in(page, address, "a wrong password")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.goto(f"{address}{BOARD}/")
    assert "/login" in page.url
    await context.close()


async def _log_in(page: Page, address: str, password: str) -> None:
    await page.goto(f"{address}/login?next=/admin/queues/")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Log in").click()


async def test_a_failed_job_is_retried_by_a_click_and_so_are_all(
    browser: Browser, address: str, message: Queue
) -> None:
    async with visiting(browser, address) as visit:
        page = visit.page
        await page.goto(f"{address}{BOARD}/queue/message?status=failed")
        await _button(page.locator("[class*=jobActions]"), "refresh-cw").first.click()
        await _confirm(visit)
        await until(lambda: _has(message, failed=2, waiting=1))
        await page.get_by_role("button", name="Retry all").click()
        await _confirm(visit)
        await until(lambda: _has(message, failed=0, waiting=3))


async def test_delayed_jobs_are_promoted_by_a_click_and_finished_ones_cleaned(
    browser: Browser, address: str, message: Queue
) -> None:
    async with visiting(browser, address) as visit:
        page = visit.page
        await page.goto(f"{address}{BOARD}/queue/message?status=delayed")
        await _button(page.locator("[class*=jobActions]"), "corner-up-left").first.click()
        await _confirm(visit)
        await until(lambda: _has(message, delayed=3, waiting=1))
        await page.get_by_role("button", name="Promote all").click()
        await _confirm(visit)
        await until(lambda: _has(message, delayed=0, waiting=4))
        await page.goto(f"{address}{BOARD}/queue/message?status=completed")
        await _button(page.locator("[class*=jobActions]"), "trash").first.click()
        await _confirm(visit)
        await until(lambda: _has(message, completed=8))
        await page.get_by_role("button", name="Clean all").click()
        await _confirm(visit)
        await until(lambda: _has(message, completed=0))


async def test_a_job_is_added_and_another_duplicated_by_the_form(
    browser: Browser, address: str, message: Queue
) -> None:
    async with visiting(browser, address) as visit:
        page = visit.page
        await page.goto(f"{address}{BOARD}/queue/message?status=latest")
        await page.locator("button:has(svg.lucide-ellipsis-vertical)").first.click()
        await page.get_by_role("menuitem", name="Add job").click()
        await page.get_by_label("Job name").fill("incoming")
        data = page.locator(".cm-content").first
        await data.click()
        await page.keyboard.press("Control+a")
        await page.keyboard.press("Delete")  # else the browser itself brings the old text's colours along, inline
        await page.keyboard.insert_text('{"text": "olá"}')
        await visit.photograph("add-job")
        await page.get_by_role("button", name="Add", exact=True).click()
        await until(lambda: _has(message, waiting=1))
        (job,) = await message.jobs([State.WAITING])
        assert (job.name, job.data, job.options.attempts) == ("incoming", {"text": "olá"}, 4)

        await page.goto(f"{address}{BOARD}/queue/message?status=waiting")
        await _button(page.locator("[class*=jobActions]"), "files").first.click()
        await page.get_by_role("button", name="Duplicate", exact=True).click()
        await until(lambda: _has(message, waiting=2))
        assert [each.data for each in await message.jobs([State.WAITING])] == [{"text": "olá"}] * 2


async def test_a_job_whose_id_holds_a_slash_has_a_page_and_a_log(
    browser: Browser, address: str, message: Queue
) -> None:
    async with visiting(browser, address) as visit:
        page = visit.page
        await page.goto(f"{address}{BOARD}/queue/message?status=failed")
        await page.get_by_role("link", name="acme-a/8==").click()
        await expect(page.get_by_role("tab", name="Logs")).to_have_count(1)
        await page.get_by_role("tab", name="Logs").click()
        await expect(page.get_by_text("began 8")).to_be_visible()
        await visit.photograph("job")


async def test_a_queue_is_paused_and_resumed_by_its_menu(browser: Browser, address: str, message: Queue) -> None:
    async with visiting(browser, address) as visit:
        page = visit.page
        await page.goto(f"{address}{BOARD}/queue/message")
        for item, paused in (("Pause", True), ("Resume", False)):
            await page.locator("button:has(svg.lucide-ellipsis-vertical)").first.click()
            await page.get_by_role("menuitem", name=item).click()
            await _confirm(visit)
            await until(lambda paused=paused: _is_paused(message, paused))


async def _confirm(visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Confirm").click()
    await expect(visit.page.get_by_role("button", name="Confirm")).to_have_count(0)


def _button(within: Locator, icon: str) -> Locator:
    # The UI gives these buttons no name; their pictures have one.
    return within.locator(f"button:has(svg.lucide-{icon})")


async def _counts(queue: Queue) -> dict[str, int]:
    return {state.value: count for state, count in (await queue.counts()).items() if count}


async def _has(queue: Queue, **wanted: int) -> bool:
    counts = await queue.counts()
    return all(counts[State(name)] == count for name, count in wanted.items())


async def _is_paused(queue: Queue, paused: bool) -> bool:
    return await queue.is_paused() is paused


async def _work(queue: Queue, count: int) -> None:
    done = 0

    async def handle(job: Job) -> dict[str, bool]:
        nonlocal done
        done += 1
        await job.log(f"began {job.data['n']}")
        await job.update_progress(40)
        if job.data["n"] % 4 == 0:
            raise RuntimeError("provider 500")
        return {"ok": True}

    worker = Worker(queue.name, handle, queue.connection, WorkerOptions(name="w-1"), prefix=queue.prefix)
    running = asyncio.create_task(worker.run())
    await until(lambda: done == count)
    await worker.stop()
    await running
