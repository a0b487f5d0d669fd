#!/usr/bin/env bash
# What wants a GPU: the tests of what runs on the device, and the benchmark; all of it, or the parts that are named.
#
#     tests/gpu.sh DIR [tests|train|ensemble|sample|diversity|generation|solo …]
#
# Writes DIR/gpu.txt and per part DIR/PART.jsonl (results) and DIR/PART.log (table). On an H200 most of the time goes to
# compiling: train takes two to three minutes, ensemble one for each number of members, sample and diversity half a
# minute. Needs the environment of requirements-cuda.txt; a CUDA build of PyTorch with transformers is measured too where
# it is there. PYTHON names the interpreter, LIMIT the seconds of all (1200). A part that fails or runs out of time does
# not stop the rest, and keeps the cases that it finished; the exit status tells.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: tests/gpu.sh DIR [PART…]}
shift
parts=("$@")
((${#parts[@]})) || parts=(tests train ensemble sample diversity generation solo)
python=${PYTHON:-python}
limit=${LIMIT:-1200}
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

benchmark=("$python" -m launch.benchmark --dtype=bfloat16 --size=paper)
for name in "${parts[@]}"; do
  case $name in
    # TF32 would blur the comparisons: the tests' tolerances are those of float32. Their many small programs are not
    # worth a search for the fastest kernels, which takes most of a compilation.
    tests)
      part tests 300 env JAX_DEFAULT_MATMUL_PRECISION=highest XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_autotune_level=0" \
        "$python" -m pytest -p no:cacheprovider tests/model/transformer_test.py tests/model/sampling_test.py \
        tests/model/likelihood_test.py tests/loop/training/train_test.py tests/eval/measures/edit_distance_test.py
      mv "$out/tests.log" "$out/tests.err" && cat "$out/tests.jsonl" "$out/tests.err" >"$out/tests.log" && rm "$out/tests."{err,jsonl}
      ;;
    train) part train 200 "${benchmark[@]}" --repeats=3 --suite=train ;;
    ensemble) part ensemble 400 "${benchmark[@]}" --repeats=2 --suite=ensemble --modes=vmap --members=1,2,4,8,16,32 ;;
    sample) part sample 90 "${benchmark[@]}" --repeats=3 --suite=sample ;;
    diversity) part diversity 60 "${benchmark[@]}" --repeats=3 --suite=diversity ;;
    generation) part generation 300 "${benchmark[@]}" --repeats=1 --suite=generation ;;
    solo) part solo 150 "${benchmark[@]}" --repeats=1 --suite=generation --cells=1 ;;
    *) failed+=("$name: no such part") ;;
  esac
done

for name in "${parts[@]}"; do cat "$out/$name.log" 2>/dev/null; done
echo "took $SECONDS s"
if ((${#failed[@]})); then
  printf '%s\n' "${failed[@]}" >&2
  exit 1
fi
