"""A survey: means over its windows, counts over their tokens, and example positions."""

import numpy as np
import pytest
import torch

from tests.helpers.models import tiny
from tinygpt.analysis import heads, inspection, routing, survey
from tinygpt.analysis.attention_maps import repeated_baseline, uniform_baseline
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError
from tinygpt.model_config import MoEConfig

MOE = MoEConfig(experts=5)
IDS = torch.randint(13, (397,), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("total", "window", "count", "starts"),
    [
        (397, 11, 3, [0, 193, 386]),
        (11, 11, 16, [0]),
        (23, 11, 16, [0, 12]),
        (397, 11, 1, [0]),
    ],
)
def test_windows_are_spread_and_do_not_overlap(
    total: int, window: int, count: int, starts: list[int]
) -> None:
    assert survey.window_starts(total, window, count) == starts
    many = survey.window_starts(total, window, 1000)
    assert (np.diff(many) >= window).all()


def test_windows_of_a_huge_context_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "LARGEST_ATTENTION", 3 * 2 * 37**2 + 5)
    surveyor = survey.Surveyor(tiny(context=65_536), IDS)
    assert surveyor.step()
    found = surveyor.findings()
    wanted = uniform_baseline(37) | repeated_baseline(18)
    assert (found.tokens, found.uniform_baseline) == (37, wanted)


@pytest.mark.parametrize("moe", [None, MOE, MoEConfig(experts=5, top_k=2)])
def test_findings_are_those_of_the_windows(moe: MoEConfig | None) -> None:
    model = tiny(moe=moe)
    found = survey.survey_tokens(model, IDS, windows=7)
    starts = survey.window_starts(397, 11, 7)
    inspections = [inspect_tokens(model, IDS[start : start + 11]) for start in starts]
    assert found.tokens == 77
    for name in heads.STATISTICS:
        wanted = sum(heads.statistics(inspection.attention)[name] for inspection in inspections) / 7
        torch.testing.assert_close(found.statistics[name], wanted)
    for name in heads.REPEATED:
        wanted = sum(heads.repeated(model, 5, seed=seed)[name] for seed in range(4)) / 4
        torch.testing.assert_close(found.statistics[name], wanted)
    assert found.uniform_baseline == {**uniform_baseline(11), **repeated_baseline(5)}
    if moe is None:
        assert found.routing is None
        return
    choice = torch.cat(
        [inspection.choice for inspection in inspections if inspection.choice is not None], 1
    ).numpy()
    ids = torch.cat([IDS[start : start + 11] for start in starts]).numpy()
    assert found.routing is not None
    assert (
        found.routing.expert_counts.tolist() == routing.expert_counts(choice, ids, 5, 13).tolist()
    )
    assert found.routing.pairs.tolist() == routing.pairs(choice, 5).tolist()
    top1_probability = [
        inspection.router.amax(-1) for inspection in inspections if inspection.router is not None
    ]
    np.testing.assert_allclose(
        found.routing.top1_probability, torch.cat(top1_probability, 1).mean(1), rtol=1e-5
    )
    assert found.routing.agreement is None


def agreement(found: survey.Findings) -> list[float]:
    assert found.routing is not None
    assert found.routing.agreement is not None
    shares: list[float] = found.routing.agreement.tolist()
    return shares


def test_agreement_with_a_final_model() -> None:
    model, final = tiny(moe=MOE), tiny(moe=MOE, seed=7)
    same = survey.survey_tokens(model, IDS, windows=3, final=tiny(moe=MOE))
    assert agreement(same) == [1.0, 1.0, 1.0]
    other = survey.survey_tokens(model, IDS, windows=3, final=final)
    shares = []
    for layer in range(3):
        equal = 0
        for start in survey.window_starts(397, 11, 3):
            ids = IDS[start : start + 11]
            a, b = inspect_tokens(model, ids).choice, inspect_tokens(final, ids).choice
            assert a is not None
            assert b is not None
            equal += int((a[layer] == b[layer]).sum())
        shares.append(equal / 33)
    assert agreement(other) == pytest.approx(shares)
    assert survey.survey_tokens(tiny(), IDS, final=final).routing is None


def test_what_cannot_be_compared_or_inspected() -> None:
    with pytest.raises(TinyGPTError, match="cannot be compared"):
        survey.Surveyor(tiny(moe=MOE), IDS, final=tiny())
    with pytest.raises(TinyGPTError, match="nothing to inspect"):
        survey.Surveyor(tiny(), [])


def test_examples_are_positions_of_the_token_in_the_expert() -> None:
    model = tiny(moe=MOE)
    found = survey.survey_tokens(model, IDS, windows=31).routing
    assert found is not None
    assert found.examples
    lift = routing.lift(found.expert_counts)
    starts = survey.window_starts(397, 11, 31)
    choices = {start: inspect_tokens(model, IDS[start : start + 11]).choice for start in starts}
    for (layer, expert, token), places in found.examples.items():
        assert found.expert_counts[layer, expert, token] >= survey.MIN_COUNT
        assert lift[layer, expert, token] > 1
        assert len(places) == min(survey.EXAMPLES, found.expert_counts[layer, expert, token])
        assert list(places) == sorted(set(places))
        for place in places:
            assert IDS[place] == token
            start = max(start for start in starts if start <= place)
            choice = choices[start]
            assert choice is not None
            assert choice[layer, place - start, 0] == expert


def test_top_tokens_have_the_highest_lift_and_enough_counts() -> None:
    expert_counts = np.array([4, 5, 50, 6, 7, 5])
    lift = np.array([9.0, 2.0, 0.9, 2.0, 3.0, np.nan])
    assert survey.top_lift_tokens(expert_counts, lift) == [4, 3, 1]


@pytest.mark.parametrize("context", [2, 3])
def test_a_context_too_short_for_a_repetition(context: int) -> None:
    found = survey.survey_tokens(tiny(context=context), IDS, windows=2)
    assert found.statistics["induction"].shape == (3, 2)
    assert found.statistics["induction"].isnan().all()
    assert set(found.uniform_baseline) == set(heads.STATISTICS)


def test_the_sample_has_its_size_whatever_the_context() -> None:
    ids = IDS.repeat(31)
    assert survey.survey_tokens(tiny(layers=1), ids).tokens == 4103  # 373 windows of 11
    assert survey.survey_tokens(tiny(layers=1), IDS).tokens == 396


def test_a_text_shorter_than_the_context_is_one_window() -> None:
    surveyor = survey.Surveyor(tiny(), IDS[:7])
    steps = 0
    while surveyor.step():
        steps += 1
    assert (steps, surveyor.findings().tokens) == (1 + survey.REPEATED_SEQUENCES, 7)
