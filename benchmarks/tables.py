"""The tables of docs/reference/benchmarks.md, written from the kept results: ``python -m benchmarks.tables``.

A table stands behind a mark that names its benchmark and its place among the tables of that benchmark; where no result is kept
there is no table.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results"
MARK = re.compile(r"^<!-- (?P<name>\w+) (?P<place>\d) -->\n(?P<table>(?:\|.*\n)*)", re.MULTILINE)
TAPES = {"german": "German", "taiwan": "Taiwan", "lendingclub_oot": "LendingClub out of time",
         "lendingclub": "LendingClub", "gmsc": "Give Me Some Credit"}  # fmt: skip
MODELS = {"card": "card", "signed": "signed", "smooth": "smooth", "optbinning": "OptBinning", "toad": "toad",
          "logit": "plain logit", "lightgbm": "LightGBM", "catboost": "CatBoost"}  # fmt: skip
TESTS = (("card", "optbinning"), ("card", "toad"), ("smooth", "optbinning"), ("smooth", "toad"),
         ("smooth", "lightgbm"), ("smooth", "catboost"))  # fmt: skip
CARDS = {"none": "none", "none, finer bins": "none, finer bins", "fuzzy x1": "fuzzy, 1", "fuzzy x2": "fuzzy, 2",
         "parcelling x1": "parcelling, 1", "parcelling x2": "parcelling, 2",
         "parcelling at the true rate": "parcelling, true rate", "all outcomes": "all outcomes"}  # fmt: skip
ENGINES = {"batch": "batch (`obligor score`)", "duckdb_sql": "SQL in DuckDB",
           "postgres_sql": "SQL in PostgreSQL, which ran already",
           "spark_columnar": "columnar scorer on Spark (`score_frame`)", "spark_sql": "SQL on Spark"}  # fmt: skip
PEERS = {"mlflow": "`mlflow models serve`", "bentoml": "`bentoml serve`"}
SURE = 0.01

Rows = list[list[str]]


def written(page: str) -> str:
    """Give the page with every table that has a mark written from its result."""
    return MARK.sub(lambda found: _marked(found["name"], int(found["place"])), page)


def _marked(name: str, place: int) -> str:
    kept = RESULTS / f"{name}.json"
    if not kept.exists():
        return f"<!-- {name} {place} -->\n"
    result = json.loads(kept.read_text())
    head, *rows = TABLES[name](result)[place]
    lines = [head, ["---"] * len(head), *rows]
    return f"<!-- {name} {place} -->\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _accuracy(result: dict) -> list[Rows]:
    head = ["tape", *MODELS.values()]
    aucs = [[TAPES[tape], *(_dot(it[model]) for model in MODELS)] for tape, it in result.items()]
    losses = [[TAPES[tape], *(_dot(it["log_loss"][model]) for model in MODELS)] for tape, it in result.items()]
    tests = [[TAPES[tape], *(_dot(it[f"p_{a}_against_{b}"]) for a, b in TESTS)] for tape, it in result.items()]
    return [[head, *aucs], [head, *losses], [["tape", *(f"{MODELS[a]}, {MODELS[b]}" for a, b in TESTS)], *tests]]


def _short(result: dict) -> list[Rows]:
    models = ("card", "smooth", "logit", "lightgbm")
    rows = []
    for name, it in result.items():
        tape, size = name.rsplit("_", 1)
        told = (f"{_dot(it[model]['auc'])}, {_dot(it[model]['log_loss'])}" for model in models)
        rows.append([TAPES[tape], f"{int(size):,}", *told])
    return [[["tape", "rows", *(MODELS[model] for model in models)], *rows]]


def _training(result: dict) -> list[Rows]:
    def row(name: str, seconds: str, memory: str) -> list[str]:
        return [name, f"{result[seconds]:.1f}", f"{result[memory]:.2f}" if memory else ""]

    return [
        [
            ["", "seconds", "memory above the data, in parts of it"],
            row("classical", "ours_s", "extra_memory_ratio"),
            row("OptBinning", "optbinning_s", "optbinning_extra_memory_ratio"),
            row("smooth", "smooth_s", "smooth_extra_memory_ratio"),
            row("LightGBM", "lightgbm_s", "lightgbm_extra_memory_ratio"),
            row("smooth, Give Me Some Credit (150,000 by 10)", "gmsc_smooth_s", ""),
            row("LightGBM, Give Me Some Credit", "gmsc_lightgbm_s", ""),
        ]
    ]


def _scoring(result: dict) -> list[Rows]:
    rows = [
        ["obligor", f"{result['rows_per_s']:,}", f"{result['peak_mb_1m']:.0f} MB"],
        ["obligor, ten times the rows", f"{result['rows_per_s_10m']:,}", f"{result['peak_mb_10m']:.0f} MB"],
        ["the card as one `SELECT` in DuckDB, file to file", f"{result['duckdb_sql_rows_per_s']:,}", ""],
        ["OptBinning, `score` and `predict_proba`", f"{result['optbinning_rows_per_s']:,}", ""],
    ]
    return [[["", "rows per second", "memory above the start"], *rows]]


def _engines(result: dict) -> list[Rows]:
    sizes = [str(size) for size in result["sizes"]]
    rows = []
    for name, it in result["engines"].items():
        rates = (f"{it['rows_per_s'][size]:,}" if size in it["rows_per_s"] else "" for size in sizes)
        rows.append([ENGINES[name], f"{it['start_s']:.2f} s", *rates])
    return [[["", "start-up", f"{int(sizes[0]):,} rows", *(f"{int(size):,}" for size in sizes[1:])], *rows]]


def _policy(result: dict) -> list[Rows]:
    rows = []
    for rate in sorted({name.rsplit("_", 1)[1] for name in result}, key=float):
        old, new = (result[f"{recipe}_{rate}"] for recipe in ("classical", "smooth"))
        told = [cell for it in (old, new) for cell in (_percent(it["new_npl_rate"]), _change(it["npl_change"]))]
        rows.append([f"{float(rate):.0%}", _percent(old["old_npl_rate"]), *told])
    head = ["approved", "by the rate", "classical card", "change in points", "smooth card", "change in points"]
    return [[head, *rows]]


def _rejects(result: dict) -> list[Rows]:
    head = ["lender, recipe", "true uplift", *CARDS.values()]

    def row(name: str, key: str, *, stars: bool) -> list[str]:
        cards = result[name]["cards"]
        cells = [
            _dot(cards[card][key]) + ("*" if stars and card != "none" and cards[card]["p_declined"] < SURE else "")
            if card in cards
            else ""
            for card in CARDS
        ]
        tape, rest = name.split(",", 1)
        return [f"{TAPES.get(tape, tape)},{rest}", f"{result[name]['true_uplift']['fuzzy']:.2f}", *cells]

    return [
        [head, *(row(name, "auc_declined", stars=True) for name in result)],
        [head, *(row(name, "log_loss_declined", stars=False) for name in result)],
    ]


def _serving(result: dict) -> list[Rows]:
    sides = ["at once", "no decision", "obligor", "ratio"]
    rest = [_in_turns(at, it, "noop") for at, it in result["rest"].items()]
    slow = [_in_turns(f"{at}, slow disk", it, "noop") for at, it in result["rest_slow_disk"].items()]
    slow.append(["64, the most by such a disk", "", "", f"{result['slow_disk_bound']:.2f}"])
    grpc = [_in_turns(at, it, "noop") for at, it in result["grpc"].items()]
    full = [_in_turns(at, it, "noop") for at, it in result["full"].items()]
    full += [_in_turns(f"{at}, slow disk", it, "noop") for at, it in result["full_slow_disk"].items()]
    peers = [
        [PEERS[name], *_in_turns("64", it, name)[1:], f"{it['start_s']:.1f} s", f"{it['rss_mb']} MB"]
        for name, it in result["peers"].items()
    ]
    starts = f"{result['start_s']:.1f} s; {result['start_embedded_s']:.1f} s with the embedded database, made anew"
    return [
        [sides, *rest, *slow],
        [["64 at once", "peer", "obligor", "ratio", "start", "memory"], *peers,
         ["Obligor", "", "", "", starts, f"{result['rss_mb']} MB"]],
        [sides, *grpc],
        [[*sides, "memory"], *([*line, f"{result['rss_full_mb']} MB"] for line in full)],
    ]  # fmt: skip


def _in_turns(at: str, it: dict, other: str) -> list[str]:
    return [at, *(_rate(it[side]) for side in (other, "obligor")), f"{it['ratio']:.2f}"]


def _rate(it: dict) -> str:
    return f"{it['per_s']:,.0f}/s ({it['p50_ms']:.1f}, {it['p99_ms']:.1f} ms)"


def _torture(result: dict) -> list[Rows]:
    checks = ["green" if result[name] else "RED" for name in ("verify", "doctor")]
    counts = [f"{result[name]:,}" for name in ("rounds", "acknowledged", "recovered", "lost", "duplicated")]
    return [
        [
            [
                "rounds",
                "acknowledged",
                "answer lost, found again",
                "lost",
                "twice",
                "`audit verify`",
                "`doctor --strict`",
            ],
            [*counts, *checks],
        ]
    ]


def _rotation(result: dict) -> list[Rows]:
    heads = ["keys", "wrapped anew in", "left when it was killed", "decisions beside", "median, 99th percentile", "failed",
             "left behind", "do not open"]  # fmt: skip
    times = f"{result['p50_ms']:.1f}, {result['p99_ms']:.1f} ms"
    told = [
        f"{result['rows']:,}",
        f"{result['seconds']:.0f} s",
        f"{result['left_at_kill']:,}",
        f"{result['decisions']:,}",
        times,
    ]
    return [[heads, [*told, *(f"{result[name]:,}" for name in ("errors", "behind", "shut"))]]]


def _overload(result: dict) -> list[Rows]:
    heads = ["load", "admitted beside it", "99th percentile", "shed beside it", "health answered, 99th percentile"]
    p99, admitted = result["p99_ms"], result["admitted"]
    return [
        [
            heads,
            ["every place taken", f"{admitted['full']:,}", f"{p99['full']:.1f} ms", "", ""],
            [
                "ten times as many",
                f"{admitted['overload']:,}",
                f"{p99['overload']:.1f} ms ({result['overload_p99_ratio']:.2f})",
                f"{result['shed']:,}",
                f"{result['health_p99_ms']:.1f} ms",
            ],
            [
                f"every place taken, beside {result['sockets']:,} sockets",
                f"{admitted['sockets']:,}",
                f"{p99['sockets']:.1f} ms ({result['sockets_p99_ratio']:.2f})",
                "",
                "",
            ],
        ]
    ]


def _screening(result: dict) -> list[Rows]:
    half, index, peer = result["other_half"], result["index"], result["token_sort_ratio"]
    sets = ("treated", "a part left out", "Congress", "made up")
    heads = ["threshold", *(told for name in sets for told in (name, "no date"))]
    shares = [
        [at, *(f"{it[told]:.2%}" for name in sets for told in (name, f"{name}, no birth date"))]
        for at, it in result["curve"].items()
    ]
    first = ["threshold", "found", "recall", "mistaken", "of 1,000", "precision"]
    counts = [f"{half['found']:,} of {half['listed']:,}", f"{half['recall']:.2%}",
              f"{half['mistaken']:,} of {half['made_up']:,}", f"{1000 * half['mistaken_share']:.2f}",
              f"{half['precision']:.2%}"]  # fmt: skip
    times = [
        ["one screening, median", f"{result['median_ms']:.2f} ms"],
        ["99th percentile", f"{result['p99_ms']:.2f} ms"],
        ["making a list ready", f"{result['build_s']:.2f} s"],
        ["comparing with every name takes", f"{index['faster']:.0f} times as long"],
        ["and finds the same", f"{index['same']} of {index['asked']} times"],
        ["the ratio of sorted parts takes", f"{peer['times_as_long']:.1f} times as long"],
        ["and finds, without birth dates, of the treated", f"{peer['treated']:.2%}"],
        ["and with a part left out", f"{peer['a part left out']:.2%}"],
    ]
    return [[first, [f"{result['chosen_threshold']:.2f}", *counts]], [heads, *shares], [["", ""], *times]]


def _lists(result: dict) -> list[Rows]:
    head = ["persons", "names", "read", "made ready, at most", "mapped", "one screening, median, 99th percentile", "memory",
            "found", "mistaken", "the ratio of sorted parts takes"]  # fmt: skip
    rows = [
        [f"{int(size):,}", f"{it['names']:,}", f"{it['read_s']:.1f} s, {it['read_peak_mb']:.0f} MB",
         f"{it['ready_s']:.1f} s, {it['ready_peak_mb']:,.0f} MB", f"{it['mapped_mb']:.0f} MB",
         f"{it['median_ms']:.1f}, {it['p99_ms']:.1f} ms", f"{it['own_mb']:.0f} of its own, {it['resident_mb']:.0f} MB",
         f"{it['found']:.1%}", f"{it['mistaken']:.1%}", f"{it['ratio_times_as_long']:.0f} times as long"]
        for size, it in result.items()
    ]  # fmt: skip
    return [[head, *rows]]


TABLES = {"accuracy": _accuracy, "short": _short, "training": _training, "scoring": _scoring, "engines": _engines,
          "policy": _policy, "rejects": _rejects, "serving": _serving, "torture": _torture,
          "rotation": _rotation, "overload": _overload, "screening": _screening, "lists": _lists}  # fmt: skip


def _dot(value: float) -> str:
    return f"{value:.4f}".lstrip("0")


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _change(it: dict) -> str:
    value, lower, upper = (100 * it[key] for key in ("value", "lower", "upper"))
    return f"{value:+.2f} ({lower:+.2f} to {upper:+.2f})"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
