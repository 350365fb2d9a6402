#!/bin/sh
# The CUDA backend on a real device, in one command: builds what is missing, then runs the operator table, whole
# models, repeated runs and the sanitizers, times matmuls and synthetic models beside what the GPU reaches and beside
# PyTorch, and prints a short table last. Nothing is fetched. Programs and the libraries they need are kept in one
# folder, so that a machine with nvcc but without a GPU can prepare them:
#   tests/cuda/run.sh build     builds into build/gpu, and stops
#   tests/cuda/run.sh           runs what is there, or builds it first; exit code 77 without a device
#   tests/cuda/run.sh check     correctness alone; `time` and `peers`: each of the other stages
# ARCHITECTURES="90a" builds for one device; MODELS="llama-3.2-1b:Q4_0 ..." chooses what is timed, BACKEND=cpu on what
# (to try this script without a device); models are written to TMPDIR, up to 9 GB at a time.
set -eu
cd "$(dirname "$0")/../.."
stage=${1:-all}
kit=build/gpu
shapes="llama-3.2-1b llama-3.1-8b"
models=${MODELS:-$(for shape in $shapes; do echo "$shape:Q4_0 $shape:Q4_K_M $shape:Q8_0"; done)}
backend=${BACKEND:-cuda}

build() {
  cmake --preset cuda -DNIBBLE_CUDA_ARCHITECTURES="${ARCHITECTURES:-80;86;89;90a;120}"
  cmake --build build/cuda --target test_cuda_device nibble_cli bench_cuda bench_cuda_attend
  mkdir -p "$kit/lib"
  cp build/cuda/tests/cuda/test_cuda_device build/cuda/bin/nibble build/cuda/bench/cuda/bench_cuda* "$kit/"
  ldd "$kit/nibble" "$kit/test_cuda_device" | awk '/pcre2|utf8proc|libedit|libbsd|libmd|libtinfo/ {print $3}' |
    sort -u | xargs -I{} cp -L {} "$kit/lib/"
}

[ -x "$kit/nibble" ] && [ "$stage" != build ] || build
[ "$stage" != build ] || exit 0

export LD_LIBRARY_PATH="$PWD/$kit/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" NIBBLE_FIXTURES="$PWD/tests/parity/fixtures"
results=$kit/results
mkdir -p "$results"
[ "$stage" != all ] || rm -rf "${results:?}"/*
summary=$results/summary_$stage
: >"$summary"
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
  line "$name" "$said" "$(($(date +%s) - start)) s"
}
line() { printf '| %-28s | %-12s | %6s |\n' "$@" | tee -a "$summary"; }

# A second process gives the same text.
demo() { "$kit/nibble" generate -p "Once" -n 64 --temp 0 --backend "$backend"; }
rerun() {
  demo >"$results/first" && demo >"$results/second" && cmp "$results/first" "$results/second"
}

# Whether prompts go through warpgroups, as they should on compute capability 9.0: not where the device's round their
# sums in a way of their own (kernels/cuda/warpgroup_check.cpp). Its results are right then, but slower.
warpgroups() {
  name=$("$kit/nibble" generate -p "Once" -n 1 --json --backend "$backend" | sed -n 's/.*"backend": *"\([^"]*\)".*/\1/p')
  echo "backend: $name"
  case $name in
    *+wgmma) ;;
    cuda/sm_90) echo "WGMMA IS NOT USED: it does not give the bits of mma.sync on this device" && return 1 ;;
    *) return 77 ;;
  esac
}

check_all() {
  check wgmma warpgroups
  NIBBLE_CUDA_SHAPES=1 check op_table "$kit/test_cuda_device" "cuda: *equals the reference*,cuda: *is exact"
  check models "$kit/test_cuda_device" "cuda: logits*"
  check same_bits "$kit/test_cuda_device" "cuda: the same bits*"
  check pages_and_stops "$kit/test_cuda_device" "cuda: pages*,cuda: a stop*,cuda: of more rows*"
  check rerun rerun
  if ! command -v compute-sanitizer >/dev/null; then
    line sanitizers "no tool" ""
    return
  fi
  for tool in memcheck racecheck; do
    NIBBLE_CUDA_SHAPES=97 check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$kit/test_cuda_device" "cuda: *equals the reference*"
  done
}

# time_tests NAME MODEL TESTS...
time_tests() {
  json=$results/bench_$1.json
  shift
  "$kit/nibble" bench --backend "$backend" --batch 2048 -r 2 -o json -m "$@" >"$json"
}

# Prompts and one sequence, then several together, then one behind many positions.
time_model() {
  scratch=$(mktemp -d)
  file=$scratch/$1.gguf
  code=0
  "$kit/nibble" synth "${1%:*}" "$file" --type "${1#*:}" || code=$?
  time_tests "$1_1" "$file" -p 512,2048,8192 -n 64 || code=$?
  time_tests "$1_2" "$file" -p 0 -n 64 -b 4,16,32,64 || code=$?
  time_tests "$1_3" "$file" -p 0 -n 64 -d 4096,32768 || code=$?
  rm -r "$scratch"
  return $code
}

time_all() {
  if [ "$backend" = cuda ]; then
    check matmuls "$kit/bench_cuda"
    reads=$(sed -n 's,^ceiling:.* \([0-9]*\) GB/s.*,\1,p' "$results/matmuls.log" | head -n 1)
    check attention "$kit/bench_cuda_attend" "$reads"
  fi
  for model in $models; do
    check "$model" time_model "$model"
  done
}

time_peers() { python3 bench/cuda/peers.py $shapes >"$results/peers.json"; }

[ "$backend" != cuda ] || "$kit/test_cuda_device" "cuda: pages are read back as they were written" || {
  code=$?
  [ $code -ne 77 ] || echo "nothing was run"
  exit $code
}
(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi") |
  tee "$results/device"

case $stage in
  all)
    check_all
    time_all
    check peers time_peers
    ;;
  check) check_all ;;
  time) time_all ;;
  peers) check peers time_peers ;;
  *) echo "unknown stage $stage" && exit 2 ;;
esac

echo
# Of the matmuls those of one row of inputs; all others are in the log.
grep -E '^(read|products|ceiling|no )| +1  (few|cublas)' "$results/matmuls.log" 2>/dev/null || true
grep '^attend' "$results/attention.log" 2>/dev/null || true
cat "$results/peers.log" 2>/dev/null || true
echo
python3 tests/cuda/table.py "$results"
echo
echo "kernels $(python3 tests/cuda/evidence.py hash .) on $(cat "$results/device")"
cat "$summary"
exit $((failures > 0))
