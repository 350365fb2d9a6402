#!/bin/sh
# The CUDA backend on a real device, in one command: builds what is missing, then runs the operator table, whole
# models, repeated runs and the sanitizers, times matmuls and synthetic models beside what the GPU reaches and beside
# PyTorch, and prints a short table last. Nothing is fetched. Programs and the libraries they need are kept in one
# folder, so that a machine with nvcc but without a GPU can prepare them:
#   tests/cuda/run.sh build     builds into build/gpu, and stops
#   tests/cuda/run.sh           runs what is there, or builds it first; exit code 77 without a device
#   tests/cuda/run.sh check     correctness alone; `sanitize`, `time` and `peers`: each of the other stages
# ARCHITECTURES="90a" builds for one device; MODELS="llama-3.2-1b:Q4_0 ..." chooses what is timed, BACKEND=cpu on what
# (to try this script without a device); models are written to TMPDIR, up to 9 GB at a time. A program that runs longer
# than LIMIT seconds, because it hangs perhaps, is ended and has failed, and the next one begins.
set -eu
cd "$(dirname "$0")/../.."
stage=${1:-all}
kit=build/gpu
limit=${LIMIT:-400}
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

timed() { timeout -k 10 "$limit" "$@"; }
nibble() { timed "$kit/nibble" "$@"; }
tests() { timed "$kit/test_cuda_device" "$@"; }

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
demo() { nibble generate -m examples/models/demo.gguf -p "Once" --temp 0 --backend "$backend" "$@"; }
rerun() {
  demo -n 64 >"$results/first" && demo -n 64 >"$results/second" && cmp "$results/first" "$results/second"
}

# Whether prompts go through warpgroups, as they should on compute capability 9.0: not where the device's round their
# sums in a way of their own (kernels/cuda/warpgroup_check.cpp). Its results are right then, but slower.
warpgroups() {
  demo -n 1 2>&1 || return $?
  used=$(demo -n 1 2>&1 | sed -n 's/^backend  *//p')
  case $used in
    *+wgmma) ;;
    cuda/sm_90) echo "WGMMA IS NOT USED: it does not give the bits of mma.sync on this device" && return 1 ;;
    *) return 77 ;;
  esac
}

# Catch2 knows wildcards at either end of a name alone.
of_table="*equals the reference*,*equal the reference,*is exact"

check_all() {
  check wgmma warpgroups
  NIBBLE_CUDA_SHAPES=1 check op_table tests "$of_table"
  check models tests "cuda: logits*"
  check same_bits tests "cuda: the same bits*,cuda: steps*,cuda: what a device draws*"
  check pages_and_stops tests "cuda: pages*,cuda: a stop*,cuda: of more rows*"
  check rerun rerun
}

sanitize_all() {
  PATH=$PATH:/usr/local/cuda/bin
  if ! command -v compute-sanitizer >/dev/null; then
    line sanitizers "no tool" ""
    return
  fi
  for tool in memcheck racecheck; do
    NIBBLE_CUDA_SHAPES=97 check "$tool" timed compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$kit/test_cuda_device" "$of_table"
  done
}

# time_tests NAME MODEL TESTS...
time_tests() {
  json=$results/bench_$1.json
  shift
  nibble bench --backend "$backend" --batch 2048 -r 2 -o json -m "$@" >"$json"
}

# Prompts and one sequence, then several together, then one behind many positions.
time_model() {
  scratch=$(mktemp -d)
  file=$scratch/$1.gguf
  code=0
  nibble synth "${1%:*}" "$file" --type "${1#*:}" || code=$?
  time_tests "$1_1" "$file" -p 512,2048,8192 -n 64 || code=$?
  time_tests "$1_2" "$file" -p 0 -n 64 -b 4,16,32,64 || code=$?
  time_tests "$1_3" "$file" -p 0 -n 64 -d 4096,32768 || code=$?
  rm -r "$scratch"
  return $code
}

# Where cuBLAS is that came with PyTorch, for machines without another.
torch_libraries() {
  python3 -c 'import glob, nvidia; print(*glob.glob(nvidia.__path__[0] + "/*/lib"), sep=":")' 2>/dev/null || true
}

time_all() {
  if [ "$backend" = cuda ]; then
    check matmuls timed env LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$(torch_libraries)" "$kit/bench_cuda"
    reads=$(sed -n 's,^ceiling:.* \([0-9]*\) GB/s.*,\1,p' "$results/matmuls.log" | head -n 1)
    check attention timed "$kit/bench_cuda_attend" "$reads"
  fi
  for model in $models; do
    check "$model" time_model "$model"
  done
}

time_peers() {
  for shape in $shapes; do
    check "peers_$shape" time_peer "$shape"
  done
}
time_peer() { timed python3 bench/cuda/peers.py "$1" >"$results/peers_$1.json"; }

[ "$backend" != cuda ] || tests "cuda: pages are read back as they were written" || {
  code=$?
  [ $code -ne 77 ] || echo "nothing was run"
  exit $code
}
(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi") |
  tee "$results/device"

case $stage in
  all)
    check_all
    sanitize_all
    time_all
    time_peers
    ;;
  check) check_all ;;
  sanitize) sanitize_all ;;
  time) time_all ;;
  peers) time_peers ;;
  *) echo "unknown stage $stage" && exit 2 ;;
esac

echo
# Of the matmuls those of one row of inputs; all others are in the log.
grep -E '^(read|products|ceiling|no )| +1  (few|cublas)' "$results/matmuls.log" 2>/dev/null || true
grep '^attend' "$results/attention.log" 2>/dev/null || true
cat "$results"/peers_*.log 2>/dev/null || true
echo
python3 tests/cuda/table.py "$results"
echo
echo "kernels $(python3 tests/cuda/evidence.py hash .) on $(cat "$results/device")"
cat "$summary"
exit $((failures > 0))
