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
    local purpose=$1 base now
    if ! "$python" -c '' 2>/dev/null; then
        base=$(find_python)
        echo "making .venv with $("$base" --version)" >&2
        "$base" -m venv --clear .venv || {
            echo "error: $base -m venv failed (on Debian and Ubuntu: apt install python3-venv)" >&2
            return 1
        }
    fi
    now=$(fingerprint)
    venv_has "$purpose" "$now" && return
    # One at a time: another's installation would take the program away from under those who run it.
    exec 9>"$venv/.lock"
    flock 9
    if ! venv_has "$purpose" "$now"; then
        venv_install "$purpose" "$now"
    fi
    exec 9>&-
}

# Whether it is installed as it is now; what tests need is enough to run it.
venv_has() {
    local stamp
    for stamp in "$venv/.installed-$1" "$venv/.installed-dev"; do
        [[ -f $stamp && $(<"$stamp") == "$2" ]] && return
    done
    return 1
}

venv_install() {
    local -a extra=()
    echo "installing dnsserver and what it needs into .venv" >&2
    if [[ $1 == dev ]]; then
        # Dependency groups (PEP 735) came with pip 25.1.
        "$python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1' >&2
        extra=(--group dev)
    fi
    "$python" -m pip install --quiet --disable-pip-version-check --editable . "${extra[@]}" >&2
    echo "$2" >"$venv/.installed-$1"
}
