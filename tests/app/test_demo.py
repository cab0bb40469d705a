"""The demo is made once, found again, and takes over what the settings say."""

from pydantic import SecretStr

from berrante.app import Application, demo
from berrante.settings import DemoSettings, OwnerSettings
from tests.app.process import working
from tests.waiting import until


async def test_a_second_start_finds_the_first_ones_demo_and_shows_no_secret(application: Application) -> None:
    first = await demo.prepare(application)
    second = await demo.prepare(application)
    assert first.made
    assert all((first.password, first.api_key, first.app_secret, first.verify_token))
    assert not second.made
    assert (second.password, second.api_key, second.app_secret, second.verify_token) == (None, None, None, None)
    assert second.instance.organization_id == first.instance.organization_id
    assert len(await application.automations.list(first.instance.organization_id)) == 2
    assert len(await application.organizations.list()) == 1


async def test_the_settings_decide_at_the_first_start_and_later(application: Application) -> None:
    for word in ("first", "second"):
        application.settings = application.settings.model_copy(
            update={
                "owner": OwnerSettings(email="Boss@Example.com", password=SecretStr(f"{word}-password")),
                "demo": DemoSettings(
                    api_key=SecretStr(f"brt_live_{word}_aaaaaaaaaaaaaaaa"),
                    app_secret=SecretStr(f"{word}-app"),
                    verify_token=SecretStr(f"{word}-token"),
                    contacts=0,
                ),
            }
        )
        access = await demo.prepare(application)
        assert access.password == f"{word}-password"
        instance = await application.instances.get("demo")
        assert instance is not None
        assert (instance.app_secret, instance.verify_token) == (f"{word}-app", f"{word}-token")
        assert await application.people.verify("boss@example.com", f"{word}-password") is not None
        key = await application.api_keys.verify(f"brt_live_{word}_aaaaaaaaaaaaaaaa")
        assert key is not None
        assert key.organization_id == instance.organization_id
    assert await application.people.verify("boss@example.com", "first-password") is None


async def test_what_was_set_is_not_shown_again_as_if_it_were_new(application: Application) -> None:
    owner = OwnerSettings(password=SecretStr("the-same-password"))
    application.settings = application.settings.model_copy(update={"owner": owner})
    assert (await demo.prepare(application)).password == "the-same-password"
    assert (await demo.prepare(application)).password is None


async def test_contacts_write_now_and_then(application: Application) -> None:
    quick = application.settings.demo.model_copy(update={"contacts": 2, "chatter_ms": 10})
    application.settings = application.settings.model_copy(update={"demo": quick})
    access = await demo.prepare(application)
    async with working(application):

        async def written() -> bool:
            listed = await application.messages.list(access.instance.organization_id)
            return len({each.address for each in listed if each.direction == "in"}) == 2

        await until(written)
