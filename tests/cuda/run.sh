#!/bin/sh
# The CUDA backend on a real device, in one command: builds what is missing, then runs the operator table, whole
# models, repeated runs and the sanitizers, times synthetic models, and prints a short table last. Nothing is
# fetched. Programs and the libraries they need are kept in one folder, so that a machine with nvcc but without a
# GPU can prepare them:
#   tests/cuda/run.sh build     builds into build/gpu, and stops
#   tests/cuda/run.sh           runs what is there, or builds it first; exit code 77 without a device
# ARCHITECTURES="90a" builds for one device; MODELS="llama-3.2-1b:Q4_0 ..." chooses what is timed.
set -eu
cd "$(dirname "$0")/../.."
kit=build/gpu
models=${MODELS:-"llama-3.2-1b:Q4_0 llama-3.2-1b:Q4_K_M llama-3.2-1b:Q8_0 llama-3.1-8b:Q4_0"}

build() {
  cmake --preset cuda -DNIBBLE_CUDA_ARCHITECTURES="${ARCHITECTURES:-80;86;89;90a;120}"
  cmake --build build/cuda --target test_cuda_device nibble_cli bench_cuda bench_cuda_attend
  mkdir -p "$kit/lib"
  cp build/cuda/tests/cuda/test_cuda_device build/cuda/bin/nibble build/cuda/bench/cuda/bench_cuda* "$kit/"
  ldd "$kit/nibble" "$kit/test_cuda_device" | awk '/pcre2|utf8proc|libedit|libbsd|libmd|libtinfo/ {print $3}' |
    sort -u | xargs -I{} cp -L {} "$kit/lib/"
}

[ -x "$kit/nibble" ] && [ "${1:-}" != build ] || build
[ "${1:-}" != build ] || exit 0

export LD_LIBRARY_PATH="$PWD/$kit/lib" NIBBLE_FIXTURES="$PWD/tests/parity/fixtures"
results=$kit/results
rm -rf "$results" && mkdir -p "$results"
summary=$results/summary
failures=0

# check NAME COMMAND...: one line of the table; what it printed is kept.
check() {
  name=$1
  shift
  start=$(date +%s)
  code=0
  "$@" >"$results/$name.log" 2>&1 || code=$?
  case $code in
    0) said=ok ;;
    77) said=SKIPPED ;;
    *) said="FAILED ($code)" failures=$((failures + 1)) && tail -n 20 "$results/$name.log" ;;
  esac
  printf '| %-28s | %-12s | %4s s |\n' "$name" "$said" $(($(date +%s) - start)) | tee -a "$summary"
}

"$kit/test_cuda_device" "cuda: pages are read back as they were written" || {
  code=$?
  [ $code -ne 77 ] || echo "nothing was run"
  exit $code
}
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$results/device"

NIBBLE_CUDA_SHAPES=1 check op_table "$kit/test_cuda_device" "cuda: *equals the reference*,cuda: *is exact"
check models "$kit/test_cuda_device" "cuda: logits*"
check same_bits "$kit/test_cuda_device" "cuda: the same bits*"
check pages_and_stops "$kit/test_cuda_device" "cuda: pages*,cuda: a stop*"

# A second process gives the same text.
demo() { "$kit/nibble" generate -p "Once" -n 64 --temp 0 --backend cuda; }
rerun() {
  demo >"$results/first" && demo >"$results/second" && cmp "$results/first" "$results/second"
}
check rerun rerun

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    NIBBLE_CUDA_SHAPES=97 check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$kit/test_cuda_device" "cuda: *equals the reference*"
  done
else
  printf '| %-28s | %-12s |        |\n' sanitizers "no tool" | tee -a "$summary"
fi

check matmuls "$kit/bench_cuda"
check attention "$kit/bench_cuda_attend" "$(sed -n 's,^ceiling:.* \([0-9]*\) GB/s.*,\1,p' "$results/matmuls.log" | head -n 1)"

time_model() {
  "$kit/nibble" bench --synthetic "$1" --backend cuda -p 512,2048 -n 64 -d 0,4096 -b 1,4,16,32 -r 2 -o md
}
for model in $models; do
  check "bench_$(echo "$model" | tr ':' '_')" time_model "$model"
done

echo
# Of the matmuls those of one row of inputs; all others are in the log.
grep -E '^(read|ceiling)| 1  few' "$results/matmuls.log" || true
grep '^attend' "$results/attention.log" || true
echo
cat "$results"/bench_*.log | grep '^|' | awk '!seen[$0]++' || true
echo
echo "kernels $(python3 tests/cuda/evidence.py hash .) on $(cat "$results/device")"
cat "$summary"
exit $((failures > 0))
