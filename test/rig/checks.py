"""Counting checks: a line each, and the last one, which script/test reads."""
results = []  # True, False, or None for what was skipped; several threads may add to it


def check(name, holds, note=""):
    results.append(bool(holds))
    print(f"{'ok  ' if holds else 'FAIL'} {name}{'' if note == '' else f': {note}'}", flush=True)


def skip(name, why):
    results.append(None)
    print(f"skip {name}: {why}", flush=True)


def conclude():
    """The exit code."""
    print(f"{results.count(True)} passed, {results.count(False)} failed, {results.count(None)} skipped")
    return 1 if False in results else 0


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]
