# Sourced by the other scripts: goes to the project's folder and makes .venv there, with nothing but Python 3.11.
#   venv_ready run|dev    installs the project, and with dev also what checks and tests need
#   $python               the environment's interpreter

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv="$PWD/.venv"
python="$venv/bin/python"

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.11 or later is needed, and python3 is $(python3 --version 2>/dev/null || echo missing)" >&2
    return 1
}

# What an installation depends on; it is done again only when this changes.
fingerprint() {
    "$python" -c '
import hashlib, sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
parts = [project["build-system"], project["project"], project["dependency-groups"], project["tool"]["hatch"]]
print(hashlib.sha256(repr((sys.version, sys.prefix, parts)).encode()).hexdigest())'
}

venv_ready() {
    local purpose=$1 stamp="$venv/.installed-$1" base now
    local -a extra=()
    if ! "$python" -c '' 2>/dev/null; then
        base=$(find_python)
        echo "making .venv with $("$base" --version)" >&2
        "$base" -m venv --clear .venv || {
            echo "error: $base -m venv failed (on Debian and Ubuntu: apt install python3-venv)" >&2
            return 1
        }
    fi
    now=$(fingerprint)
    [[ -f $stamp && $(<"$stamp") == "$now" ]] && return
    echo "installing dnsserver and what it needs into .venv" >&2
    if [[ $purpose == dev ]]; then
        # Dependency groups (PEP 735) came with pip 25.1.
        "$python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1' >&2
        extra=(--group dev)
    fi
    "$python" -m pip install --quiet --disable-pip-version-check --editable . "${extra[@]}" >&2
    echo "$now" >"$stamp"
}
