#!/usr/bin/env bash
# Builds detectron2 at a fixed commit of its public source and installs it beside the lock.
#
#   scripts/bridge_detectron2.sh PYTHON
#
# Needs git and a C++ compiler, and a few minutes. Only kernels for the CPU are compiled: the box
# path, which is all that egolib compares, runs on torchvision's kernels on every device. Nothing of
# requirements.lock is changed: every package named here is one that the lock does not have.
# DETECTRON2_SOURCE names another git repository that holds the commit, such as a local mirror.
set -euo pipefail

python=$(realpath -s "${1:?usage: $0 PYTHON}")
commit=02b5c4e295e990042a714712c21dc79b731e8833
source=${DETECTRON2_SOURCE:-https://github.com/facebookresearch/detectron2.git}
cd "$(dirname "$0")/.."
folder=.bridges/detectron2
wheels=$PWD/$folder/wheels-$commit

if ! compgen -G "$wheels/detectron2-*.whl" >/dev/null; then
  rm -rf "$folder"
  git init -q "$folder/source"
  git -C "$folder/source" fetch -q --depth 1 "$source" "$commit"
  git -C "$folder/source" checkout -q FETCH_HEAD
  # No isolation: the build wants the torch that is installed. No device: kernels for the CPU alone.
  CUDA_VISIBLE_DEVICES='' FORCE_CUDA=0 MAX_JOBS=${MAX_JOBS:-2} "$python" -m pip wheel -q \
    --disable-pip-version-check --no-deps --no-build-isolation -w "$wheels" "./$folder/source"
  rm -rf "$folder/source"
fi

"$python" -m uv pip install --python "$python" --no-deps "$wheels"/detectron2-*.whl \
  fvcore==0.1.5.post20221221 iopath==0.1.9 portalocker==3.2.0 yacs==0.1.8 termcolor==3.1.0 \
  omegaconf==2.3.0 antlr4-python3-runtime==4.9.3 hydra-core==1.3.2
