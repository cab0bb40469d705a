"""Which store keeps files, and what is told when it is away."""

import pytest
from pydantic import SecretStr

from berrante.app import Application
from berrante.app.doctor import Verdict, examine_media
from berrante.settings import S3Settings, Settings, SettingsInvalid, load
from tests.app.process import client_of, settings_for
from tests.web.access import tenant

_UNREACHABLE = S3Settings(
    bucket="files", access_key="AKIA", secret_key=SecretStr("the-secret"), endpoint="http://127.0.0.1:1"
)


def test_a_bucket_without_its_key_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERRANTE_S3_BUCKET", "files")
    with pytest.raises(SettingsInvalid, match="give BERRANTE_S3_ACCESS_KEY and BERRANTE_S3_SECRET_KEY"):
        load()
    monkeypatch.setenv("BERRANTE_S3_ACCESS_KEY", "AKIA")
    monkeypatch.setenv("BERRANTE_S3_SECRET_KEY", "the-secret")
    monkeypatch.setenv("BERRANTE_S3_PATH_STYLE", "true")
    settings = load()
    assert (settings.s3.bucket, settings.s3.path_style) == ("files", True)
    assert "the-secret" not in repr(settings)


async def test_the_folder_that_cannot_be_written_is_found_by_the_doctor(settings: Settings, tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = await examine_media(settings.model_copy(update={"media_dir": tmp_path / "media"}))
    assert found.verdict is Verdict.GOOD
    found = await examine_media(settings.model_copy(update={"media_dir": tmp_path / "file"}))
    assert found.verdict is Verdict.BAD
    assert "BERRANTE_MEDIA_DIR" in str(found.remedy)


async def test_a_bucket_that_is_away_is_told_by_the_doctor_health_and_the_api(
    redis_url: str, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix, s3=_UNREACHABLE)
    found = await examine_media(settings)
    assert found.verdict is Verdict.BAD
    assert "BERRANTE_S3_ENDPOINT" in str(found.remedy)
    async with Application.open(settings) as application, client_of(application) as client:
        assert application.media.name == "s3"
        health = await client.get("/health/media")
        assert health.status_code == 503
        assert "BERRANTE_S3_ENDPOINT" in health.json()["reason"]
        assert (await client.get("/health/ready")).status_code == 200
        ours = await tenant(application)
        headers = {**ours.headers, "Content-Type": "image/png"}
        upload = await client.post("/v1/media", content=b"x", headers=headers)
    assert upload.status_code == 503
    assert upload.headers["Retry-After"]
    assert "the-secret" not in health.text + upload.text + str(found)


async def test_without_a_bucket_files_are_in_a_folder(application: Application) -> None:
    assert application.media.name == "folder"
    async with client_of(application) as client:
        assert (await client.get("/health/media")).json()["store"] == "folder"
