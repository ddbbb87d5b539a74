#!/usr/bin/env bash
# Builds the wheel, installs it without extras into a fresh environment, and uses it there, outside the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --upgrade "pip>=24" --constraint constraints.txt
"$folder/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$folder" .
"$folder/venv/bin/pip" install --quiet "$folder"/nasnet_tf-*.whl --constraint constraints.txt
cp -r testdata "$folder/"
cd "$folder"
nasnet=$folder/venv/bin/nasnet
"$nasnet" --version
answer=$("$nasnet" predict testdata/digits/digit_7.png --model=testdata/digits_network --top=1)
echo "$answer"
[[ $answer == testdata/digits/digit_7.png:\ 7\ * ]]
# A command that needs an extra names it in its error.
! message=$("$nasnet" train --gin_file=digits.gin --workdir=x 2>&1)
[[ $message == *"pip install 'nasnet_tf[train]'"* ]]
echo "the wheel works: $(basename "$folder"/nasnet_tf-*.whl)"
