import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.engine import Backoff, Deduplication, InvalidPayload, JobOptions, Retention
from berrante.engine.options import MAX_PRIORITY
from berrante.engine.wire.codec import encode, read_json, read_options, write_options

backoffs = st.builds(
    Backoff,
    type=st.sampled_from(["fixed", "exponential"]),
    delay_ms=st.integers(0, 10**7),
    jitter=st.sampled_from([0.0, 0.25, 1.0]),
)
retentions = st.builds(
    Retention,
    age_s=st.none() | st.integers(0, 10**7),
    count=st.none() | st.integers(1, 10**5),
) | st.just(Retention.nothing())
options = st.builds(
    JobOptions,
    attempts=st.integers(1, 50),
    backoff=st.none() | backoffs,
    delay_ms=st.integers(0, 10**9),
    priority=st.integers(0, MAX_PRIORITY),
    lifo=st.booleans(),
    keep_completed=st.none() | retentions,
    keep_failed=st.none() | retentions,
    keep_logs=st.none() | st.integers(0, 1_000),
    stack_trace_limit=st.none() | st.integers(0, 50),
)


@given(options)
def test_options_read_back_as_they_were_written(given_options: JobOptions) -> None:
    assert read_options(encode(write_options(given_options)), job_id="j") == given_options


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", JobOptions()),
        (b'{"attempts":0}', JobOptions()),
        (b'{"attempts":3,"backoff":1000}', JobOptions(attempts=3, backoff=Backoff.fixed(1_000))),
        (b'{"attempts":"5"}', JobOptions(attempts=5)),
        (
            b'{"removeOnComplete":100,"removeOnFail":false}',
            JobOptions(keep_completed=Retention(count=100), keep_failed=Retention.everything()),
        ),
        (b'{"removeOnComplete":{"age":60,"count":5}}', JobOptions(keep_completed=Retention(age_s=60, count=5))),
        (b'{"tm":"trace","de":{"id":"x"},"unheardOf":[1]}', JobOptions(deduplication=Deduplication(id="x"))),
    ],
)
def test_what_node_writes_is_understood(raw: bytes, expected: JobOptions) -> None:
    assert read_options(raw, job_id="j") == expected


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"attempts":"many"}', b'{"backoff":{"type":"mine"}}', b'{"priority":-4}']
)
def test_unreadable_options_name_the_job_and_the_field(raw: bytes) -> None:
    with pytest.raises(InvalidPayload, match="job 'j1' has unreadable opts"):
        read_options(raw, job_id="j1")


def test_unreadable_data_names_the_job_and_the_field() -> None:
    with pytest.raises(InvalidPayload, match="job 'j1' has unreadable data"):
        read_json(b"\xff\x00", job_id="j1", field="data")
