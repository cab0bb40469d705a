"""Secrets at rest: what is stored is no secret, keys can be changed, and what was changed is noticed."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text

from berrante.store import Cipher, Database, KeyMissing, Sealed
from berrante.store.encryption import KeyMalformed, SealBroken, is_sealed, new_key

OLD, NEW = bytes(32), bytes([1] * 32)


def test_the_same_secret_is_another_ciphertext_each_time_and_opens_in_its_own_column_alone():
    cipher = Cipher([OLD])
    first, second = cipher.seal("hush 🙂", "a.b"), cipher.seal("hush 🙂", "a.b")
    assert first != second
    assert "hush" not in first
    assert cipher.open(first, "a.b") == cipher.open(second, "a.b") == "hush 🙂"
    with pytest.raises(SealBroken, match=r"a\.c cannot be read back"):
        cipher.open(first, "a.c")


def test_keys_are_changed_by_putting_the_new_one_in_front():
    before = Cipher([OLD]).seal("hush", "a.b")
    both = Cipher([NEW, OLD])
    after = both.seal(both.open(before, "a.b"), "a.b")
    assert (both.is_current(before), both.is_current(after)) == (False, True)
    assert Cipher([NEW]).open(after, "a.b") == "hush"
    with pytest.raises(KeyMissing, match="BERRANTE_ENCRYPTION_KEY"):
        Cipher([NEW]).open(before, "a.b")


@pytest.mark.parametrize(
    "change", [lambda s: s[:-6] + "AAAA==", lambda s: s[:20], lambda s: s + "!", lambda s: "enc:1:"]
)
def test_a_ciphertext_that_was_changed_does_not_open(change):
    cipher = Cipher([OLD])
    with pytest.raises(SealBroken):
        cipher.open(change(cipher.seal("a longer secret", "a.b")), "a.b")


def test_keys_come_in_base64_of_both_kinds_and_in_hexadecimal():
    sealed = Cipher([bytes([251] * 32)]).seal("hush", "a.b")
    for written in (
        "+/v7" * 10 + "+/s=",
        "-_v7" * 10 + "-_s=",
        "fb" * 32,
        " " + "fb" * 32 + " ,",
        new_key() + "," + "FB" * 32,
    ):
        assert Cipher.parse(written).open(sealed, "a.b") == "hush"


@pytest.mark.parametrize("written", ["", ",", "short", "ab" * 31, "ключ" * 11, "A" * 44 + "=" * 3])
def test_what_is_no_key_says_how_to_make_one(written):
    with pytest.raises(KeyMalformed, match="berrante encryption-key"):
        Cipher.parse(written)


SECRETS = Table(
    "some_secrets",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("needed", Sealed("some_secrets.needed")),
    Column("optional", Sealed("some_secrets.optional", required=False)),
)


async def test_a_sealed_column_is_no_secret_to_whoever_reads_the_tables(database_url):
    database = Database(database_url, cipher=Cipher([OLD]))
    async with database.begin() as connection:
        await connection.run_sync(SECRETS.create)
        await connection.execute(insert(SECRETS).values(id=1, needed="hush", optional=None))
        (raw,) = (await connection.execute(text("SELECT needed FROM some_secrets"))).scalars()
        row = (await connection.execute(select(SECRETS))).one()
    await database.close()
    assert is_sealed(raw)
    assert (row.needed, row.optional) == ("hush", None)


async def test_without_a_key_a_needed_secret_is_refused_and_an_optional_one_waits_for_it(database_url):
    bare = Database(database_url)
    async with bare.begin() as connection:
        await connection.run_sync(SECRETS.create)
        await connection.execute(insert(SECRETS).values(id=1, optional="plain"))
    with pytest.raises(KeyMissing, match=r"some_secrets\.needed needs the encryption key"):
        async with bare.begin() as connection:
            await connection.execute(insert(SECRETS).values(id=2, needed="hush"))
    await bare.close()

    keyed = Database(database_url, cipher=Cipher([OLD]))
    async with keyed.begin() as connection:
        assert (await connection.execute(select(SECRETS.c.optional))).scalar_one() == "plain"
        await connection.execute(SECRETS.update().values(optional="plain"))
    await keyed.close()

    bare = Database(database_url)
    with pytest.raises(KeyMissing):
        async with bare.begin() as connection:
            (await connection.execute(select(SECRETS.c.optional))).scalar_one()
    await bare.close()
