"""Which records a resume supersedes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.records import train
from tests.helpers.run_files import NOW, START, end
from tinygpt import run


def test_drop_rewound() -> None:
    failed = end("failed")
    first: list[run.Record] = [
        START,
        train("dense", 1),
        train("moe", 1),
        train("dense", 2),
        train("moe", 2),
    ]
    first += [train("dense", 3), failed]
    resume = run.ResumeRecord(time=NOW, step=1, models={"dense": 1})
    again: list[run.Record] = [resume, train("dense", 2), train("dense", 3)]
    kept: list[run.Record] = [
        START,
        train("dense", 1),
        train("moe", 1),
        train("moe", 2),
        failed,
        *again,
    ]
    assert run.drop_rewound(first + again) == kept
    both = run.ResumeRecord(time=NOW, step=2, models={"dense": 2, "moe": 0})
    later: list[run.Record] = [both, train("dense", 3)]
    kept = [START, train("dense", 1), failed, resume, train("dense", 2), *later]
    assert run.drop_rewound(first + again + later) == kept
    assert run.drop_rewound(first) == first


@given(
    st.lists(
        st.builds(train, st.sampled_from(["dense", "moe"]), st.integers(0, 5), st.just(1.5))
        | st.builds(
            lambda step: run.ResumeRecord(time=NOW, step=step, models={"dense": step}),
            st.integers(0, 5),
        ),
        max_size=20,
    )
)
def test_drop_rewound_is_the_rule(records: list[run.Record]) -> None:
    def superseded(at: int, record: run.Record) -> bool:
        return isinstance(record, run.TrainRecord) and any(
            isinstance(later, run.ResumeRecord) and record.step > later.models.get(record.model, 99)
            for later in records[at:]
        )

    expected = [record for at, record in enumerate(records) if not superseded(at, record)]
    assert run.drop_rewound(records) == expected
    assert run.drop_rewound(expected) == expected
