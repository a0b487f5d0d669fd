#!/usr/bin/env bash
# Everything that wants a GPU, in one call within ten minutes: the tests of what runs on the device, then the benchmark.
#
#     tests/gpu.sh DIR
#
# Writes DIR/gpu.txt, DIR/tests.log, and per suite DIR/SUITE.jsonl (results) and DIR/SUITE.log (table). Needs the
# environment of requirements-cuda.txt; a CUDA build of PyTorch with transformers is measured too where it is there.
# PYTHON names the interpreter, LIMIT the seconds of all (540). A part that fails or runs out of time does not stop the
# rest; the exit status tells.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: tests/gpu.sh DIR}
python=${PYTHON:-python}
limit=${LIMIT:-540}
mkdir -p "$out"
failed=()

# part NAME SECONDS COMMAND…: stdout to NAME.jsonl, stderr to NAME.log, at most SECONDS and what is left of the limit.
part() {
  local name=$1 seconds=$2 left=$((limit - SECONDS))
  shift 2
  if ((left < 10)); then
    failed+=("$name: no time left")
    return
  fi
  echo "$name: begins after $SECONDS s" >&2
  timeout --signal=INT --kill-after=10 "$((seconds < left ? seconds : left))" "$@" >"$out/$name.jsonl" 2>"$out/$name.log" ||
    failed+=("$name: status $?")
}

nvidia-smi >"$out/gpu.txt" 2>&1 || true
"$python" -c 'import jax; assert jax.default_backend() == "gpu", jax.default_backend()' || exit 2

benchmark=("$python" -m launch.benchmark --dtype=bfloat16 --repeats=3)
part train 120 "${benchmark[@]}" --suite=train --size=paper
part ensemble 200 "${benchmark[@]}" --suite=ensemble --size=paper --modes=vmap --members=1,2,4,8,16,32 --repeats=2
part generation 170 "${benchmark[@]}" --suite=generation --size=paper --repeats=1
part sample 60 "${benchmark[@]}" --suite=sample --size=paper
part solo 90 "${benchmark[@]}" --suite=generation --size=paper --cells=1 --repeats=1
part diversity 40 "${benchmark[@]}" --suite=diversity
# TF32 would blur the comparisons: the tests' tolerances are those of float32.
export JAX_DEFAULT_MATMUL_PRECISION=highest
part tests 120 "$python" -m pytest -p no:cacheprovider tests/model/transformer_test.py tests/model/sampling_test.py \
  tests/model/likelihood_test.py tests/loop/training/train_test.py tests/eval/measures/edit_distance_test.py
mv "$out/tests.jsonl" "$out/tests.out" 2>/dev/null && cat "$out/tests.out" >>"$out/tests.log" && rm "$out/tests.out"

cat "$out"/{train,ensemble,generation,sample,solo,diversity,tests}.log 2>/dev/null
echo "took $SECONDS s"
if ((${#failed[@]})); then
  printf '%s\n' "${failed[@]}" >&2
  exit 1
fi
