"""What the study found, as a page: docs/study.md.

Every number in the text comes from the results of the cells; so do the words that judge them.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from study_cells import BY_NAME, DENSE, DENSE_TIME, DENSE_TOTAL, FROZEN, MOE, Study, read_speed
from study_measures import (
    CONTINUATION_CHARACTERS,
    CONTINUATIONS,
    PROMPTS,
    SAMPLE_CHARACTERS,
    SAMPLES,
    STRATEGIES,
    TEMPERATURE,
    known_words,
    original,
)
from study_numbers import (
    COMPARISONS,
    Interval,
    Results,
    best_test_loss,
    difference,
    mean,
    read_cross,
    test_loss,
    val_loss,
)


def page(
    study: Study, results: Mapping[str, Results], command: str, machine: Mapping[str, Any]
) -> Iterator[str]:
    """docs/study.md about the results by scale, line by line; long ones are paragraphs."""
    yield from ("# Does a mixture of experts beat a dense model?", "")
    for scale, found in results.items():
        yield f"- **`{scale}`**: {answer(found)}"
    yield ""
    yield SUMMARY + "".join(routers(scale, found) for scale, found in results.items())
    yield ""
    yield from ("## How", "", "```sh", command, "```", "")
    yield HOW.format(**machine, **known_words(study), text=study.sha256[:12])
    yield ""
    for scale, found in results.items():
        yield from scale_page(study, scale, found)
    variants = [cells for found in results.values() for cells in found.values()]
    sizes = [cell["params_total"] / 1e6 for cells in variants for cell in cells.values()]
    least, most = f"{min(sizes):.1f}", f"{max(sizes):.1f}"
    yield from LIMITS.format(least=least, most=most).splitlines()


def answer(results: Results) -> str:
    """What the paired differences say of Dense and MoE."""
    said = [
        f"{verdict(found, 'MoE', 'Dense')} at equal {what}"
        for what, one in (
            ("steps", DENSE),
            ("training time", DENSE_TIME),
            ("total parameters", DENSE_TOTAL),
        )
        if (found := difference(results, one, MOE, test_loss))
    ]
    return "; ".join(said) + "." if said else "a single seed, which tells nothing."


def verdict(found: Interval, if_positive: str, if_negative: str) -> str:
    """Which has the lower loss, and by how much, if that is outside the interval."""
    if not found.excludes_zero:
        return "neither clearly"
    better = if_positive if found.mean > 0 else if_negative
    return f"{better} by {abs(found.mean):.4f} ± {found.half_width:.4f}"


def routers(scale: str, results: Results) -> str:
    """Whether it matters that the router learns."""
    found = difference(results, FROZEN, MOE, test_loss)
    if found is None:
        return ""
    said = verdict(found, "learned", "frozen")
    unclear = "" if found.excludes_zero else f" ({found})"
    return f" Learned or frozen router, `{scale}`: {said}{unclear}."


SUMMARY = """\
Which has the lower test loss, in nats per character, and by how much: mean over seeds of paired \
differences, with 95 % intervals. Nothing was chosen by the test. Signs in brackets and tables: \
positive where the default MoE is better."""

HOW = """\
wrote this page, with every number and verdict in it, on {date} ({processor}, {cores} cores, \
GPU: {gpu}, torch {torch}; text {text}…). The last tenth of the text is the test, the tenth \
before it validation, and the rest is trained on. The test is the harder of the two for every \
variant: {validation:.1%} of the words of validation occur in the training text, but {test:.1%} \
of those of the test. All settings are the defaults of the preset but for those that a variant \
is named after; the weight decay is for all variants what the trainer chooses for Dense. Batches \
are the same for one seed. "end" is the model at the last step, "best" the checkpoint with the \
lowest validation loss. Milliseconds per step are medians, interleaved, on a CPU on one core; \
from them follow the steps of Dense at equal training time."""

ROUTING = """\
Confidence is the mean probability of the selected expert. What the expert of a token (the first \
one for top-2) says about the token's class, and about the next character, is in bits; \
"shuffled" is what remains if the tokens are, by chance. Of independent, even routers, 1 / \
experts of the tokens would agree."""

PARTS = """\
By how much the validation loss rises without a head or an expert (mean and worst of all), with \
each token's second choice of expert at the weight of the first, with each expert given the \
tokens of another, and with the experts of two layers exchanged."""

WRITING = """\
{samples} samples of {characters} characters a model at temperature {temperature}: words that \
occur in the training text, runs of four words copied from it, distinct runs of one, two and \
three words, runs of four words that the same sample had before, and the loss of each of the two \
models on the text."""

DECODING = """\
The same {prompts} prompts continued by {count} texts of {characters} characters (greedy: one); \
the loss is the model's own at temperature 1."""

LIMITS = """\
## What does not follow

- These models have {least} to {most} million parameters and see one small text. Nothing here \
says how larger models, other corpora or tokenizers compare.
- Equal training time is that of this machine. Steps of MoE cost less over Dense where experts \
run in one grouped matmul.
- All variants have settings that were tuned for the default Dense and MoE. One that is worse \
might be better with settings of its own.
- Two half-width experts per token keep the active parameters, but have half the total ones.
- Intervals are over seeds, with one split of one text, and are not corrected for the number of \
comparisons.
- Only the router's weights are frozen. The layers below learn through the routing weights and \
the balance loss, so the decisions of a frozen router still change in training.
- Known words and distinct runs are no judgement of a text. A model that copies its corpus is \
best at both: read them beside the copied runs."""


def scale_page(study: Study, scale: str, results: Results) -> Iterator[str]:
    """All tables of a scale."""
    seeds = ", ".join(map(str, next(iter(results.values()))))
    yield from (f"## `{scale}`", "")
    yield f"![Validation losses, and differences to MoE](pictures/study-{scale}.svg)"
    yield ""
    yield f"Seeds {seeds}. Curves: mean and standard deviation over seeds; dots: 95 % intervals."
    yield ""
    yield from losses(results, read_speed(study, scale))
    yield from ("The variant minus the default MoE:", "")
    yield from differences(results)
    yield from ("### Where tokens go", "", ROUTING, "")
    yield from routing(results)
    yield from ("### Without a part", "", PARTS, "")
    yield from parts(results)
    yield from ("### What they write", "")
    yield WRITING.format(
        samples=study.scaled(SAMPLES),
        characters=study.scaled(SAMPLE_CHARACTERS),
        temperature=TEMPERATURE,
    )
    yield ""
    yield from text(results, read_cross(study, scale), original(study))
    yield DECODING.format(
        prompts=len(PROMPTS),
        count=CONTINUATIONS,
        characters=study.scaled(CONTINUATION_CHARACTERS),
    )
    yield ""
    yield from strategies(results)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; the first column is text, the others are numbers."""
    yield "| " + " | ".join(heading) + " |"
    yield "| --- |" + " ---: |" * (len(heading) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def losses(results: Results, speed: Mapping[str, float]) -> Iterator[str]:
    """The table of losses, sizes and speed."""
    rows = []
    for name, cells in results.items():
        first = next(iter(cells.values()))
        step = 1000 * speed[name]
        rows.append(
            [
                BY_NAME[name].title,
                f"{first['params_total'] / 1e3:,.0f}k",
                f"{first['params_active'] / 1e3:,.0f}k",
                f"{first['flops_per_token'] / 1e6:.2f}",
                f"{step:.1f}",
                f"{first['step']:,}",
                _number(mean(cells, val_loss)),
                _number(mean(cells, test_loss)),
                _number(mean(cells, best_test_loss)),
                _number(mean(cells, test_loss), 1 / math.log(2)),
            ]
        )
    heading = ["variant", "parameters", "active", "MFLOPs per token", "ms per step", "steps"]
    heading += ["val, end", "test, end", "test, best", "test, bits per character"]
    yield from table(heading, rows)


def _number(value: float | None, factor: float = 1.0) -> str:
    return "-" if value is None or math.isnan(value) else f"{value * factor:.4f}"


def differences(results: Results) -> Iterator[str]:
    """The table of paired differences to the default MoE."""
    rows = []
    for title, one in COMPARISONS:
        found = difference(results, one, MOE, test_loss)
        if found is not None:
            others = (difference(results, one, MOE, of) for of in (best_test_loss, val_loss))
            better = "MoE" if found.mean > 0 else "the variant"
            verdict = better if found.excludes_zero else "no clear difference"
            rows.append([title, str(found), *map(str, others), verdict])
    yield from table(["", "test, end", "test, best", "val, end", "lower test loss"], rows)


def routing(results: Results) -> Iterator[str]:
    """The tables of load, confidence and specialisation."""
    rows, informed = [], []
    routed = {n: cells for n, cells in results.items() if BY_NAME[n].model == "moe"}
    steps = _common_steps(routed)
    for name, cells in routed.items():
        found = [cell["routing"] for cell in cells.values()]

        def layers(key: str, form: str, found: Any = found) -> str:
            return _layers([each[key] for each in found], form)

        agreement = (
            statistics.fmean(x for each in found for x in each["agreement"][str(step)])
            for step in steps
        )
        rows.append(
            [
                BY_NAME[name].title,
                layers("entropy", "{:.1%}"),
                layers("worst_over_mean", "{:.2f}"),
                layers("dead", "{:.1f}"),
                layers("confidence", "{:.2f}"),
                *(f"{share:.0%}" for share in agreement),
            ]
        )
        informed.append(
            [
                BY_NAME[name].title,
                *(
                    _layers([each["information"][what][key] for each in found], "{:.3f}")
                    for what in ("class", "next")
                    for key in ("bits", "chance")
                ),
            ]
        )
    heading = ["layers, first to last", "load entropy / log E", "largest load / mean"]
    heading += ["dead experts", "confidence"]
    heading += [f"same expert at step {step:,} as at the end" for step in steps]
    yield from table(heading, rows)
    heading = ["bits, by layer", "character class", "shuffled", "next character", "shuffled"]
    yield from table(heading, informed)


def _common_steps(routed: Results) -> list[int]:
    """Steps after a fiftieth of the run of which all cells have a checkpoint, but for the last."""
    cells = [cell for found in routed.values() for cell in found.values()]
    steps = [{int(step) for step in cell["routing"]["agreement"]} for cell in cells]
    common = sorted(set.intersection(*steps)) if steps else []
    return [step for step in common if cells[0]["step"] / 50 < step < cells[0]["step"]][:4]


def _layers(of_seeds: Sequence[Sequence[float]], form: str) -> str:
    """The mean over seeds of each layer."""
    means = [statistics.fmean(layer) for layer in zip(*of_seeds, strict=True)]
    return " ".join(form.format(value) for value in means)


def parts(results: Results) -> Iterator[str]:
    """The table of what a model loses without its parts."""
    rows = []
    for name, cells in results.items():
        found = [cell["ablation"] for cell in cells.values()]
        row = [BY_NAME[name].title, *_mean_and_largest(found, "heads")]
        if "experts" in found[0]:
            row += [*_mean_and_largest(found, "experts")]
            row += [f"{statistics.fmean(f['next_choice'] for f in found):+z.3f}"]
            row += [
                f"{statistics.fmean(x for f in found for x in f[key]):+z.3f}"
                for key in ("rotated", "exchanged")
            ]
        else:
            row += ["-"] * 5
        rows.append(row)
    heading = ["variant", "a head", "the worst head", "an expert", "the worst expert"]
    heading += ["second choice", "another's tokens", "layers exchanged"]
    yield from table(heading, rows)


def _mean_and_largest(found: Sequence[Mapping[str, Any]], key: str) -> Iterator[str]:
    rises = [[x for layer in f[key] for x in layer] for f in found]
    yield f"{statistics.fmean(map(statistics.fmean, rises)):+z.3f}"
    yield f"{statistics.fmean(map(max, rises)):+z.3f}"


TEXT_COLUMNS = ("known words", "copied", "distinct-1", "distinct-2", "distinct-3", "repeated")


def text(
    results: Results,
    cross: Sequence[Mapping[str, Mapping[str, float]]],
    test: Mapping[str, Any],
) -> Iterator[str]:
    """The table of what the models write, with the same of the `test` split."""
    rows = [["the test split itself", *_text_numbers([test]), "-", "-"]]
    for name, cells in results.items():
        row = [BY_NAME[name].title, *_text_numbers([cell["text"] for cell in cells.values()])]
        for judge in (DENSE.name, MOE.name):
            found = [c[judge][name] for c in cross if name in c.get(judge, {})]
            row.append(f"{statistics.fmean(found):.3f}" if found else "-")
        rows.append(row)
    yield from table(["variant", *TEXT_COLUMNS, "loss by Dense", "loss by MoE"], rows)


def strategies(results: Results) -> Iterator[str]:
    """The table of decoding strategies, for Dense and MoE."""
    rows = []
    for strategy in STRATEGIES:
        for variant in (DENSE, MOE):
            found = [cell["decoding"][strategy] for cell in results[variant.name].values()]
            loss = statistics.fmean(each["loss"] for each in found)
            title = f"{strategy}, {variant.title.partition(',')[0]}"
            rows.append([title, *_text_numbers(found), f"{loss:.3f}"])
    yield from table(["strategy", *TEXT_COLUMNS, "own loss"], rows)


def _text_numbers(of: Sequence[Mapping[str, Any]]) -> list[str]:
    def share(get: Callable[[Mapping[str, Any]], float]) -> str:
        known = [value for found in of if not math.isnan(value := float(get(found)))]
        return f"{statistics.fmean(known):.1%}" if known else "-"

    return [
        share(lambda f: f["known_words"]),
        share(lambda f: f["copied_ngrams"]),
        *(share(lambda f, n=n: f["distinct"][n]) for n in ("1", "2", "3")),  # type: ignore[misc]
        share(lambda f: f["repeated"]),
    ]


def render(lines: Iterator[str], width: int = 120) -> str:
    """The page as text, with paragraphs wrapped."""
    wrapped = []
    for line in lines:
        if not line or line.startswith(("|", "#", "!", "`")):
            wrapped.append(line)
        else:
            wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
            wrapper.subsequent_indent = "  " if line.startswith("- ") else ""
            wrapped += wrapper.wrap(line)
    return "\n".join(wrapped).rstrip("\n") + "\n"
