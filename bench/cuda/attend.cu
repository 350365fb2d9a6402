// Attention over pages on a GPU: of one token of each of some sequences, and of prompts.
// The target bench_cuda_attend of builds with CUDA; tests/cuda/run.sh runs it. By hand, with nvcc alone:
//
//   nvcc -O3 -std=c++20 --expt-relaxed-constexpr -fmad=false -arch=native -Iinclude -I. -o bench_cuda_attend
//   bench/cuda/attend.cu
//   ./bench_cuda_attend [GB/S]     what reading alone reaches here, as bench_cuda prints it
//
// Each figure is the median of nine graphs of launches, each launch over pages of its own, together four
// times the L2 cache and more, so that they come from memory. GB/s are bytes of keys and values; TFLOP/s
// count a product of floats once, whatever number of terms it takes here.
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "bench/cuda/launch.cuh"
#include "kernels/cuda/attend_cut.hpp"

namespace {

using namespace nibble;
using namespace nibble::cuda;

template <class T>
class OnDevice {
 public:
  explicit OnDevice(std::size_t n) : n_(n) { check(cudaMalloc(&data_, n * sizeof(T))); }
  explicit OnDevice(const std::vector<T>& from) : OnDevice(from.size()) {
    check(cudaMemcpy(data_, from.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }

  T* data() const { return data_; }
  void fill() const {
    run<<<1024, Fill::threads>>>(Fill{reinterpret_cast<std::uint32_t*>(data_), n_ * sizeof(T) / 4});
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

struct HeadShape {
  const char* name;
  std::uint32_t n_kv_heads, group, head_dim;
};
constexpr HeadShape shapes[] = {{"1b", 8, 4, 64}, {"8b", 8, 4, 128}};

// `sequences` of `depth` positions each, of which the last `rows` are queries.
struct Work {
  HeadShape shape;
  std::uint32_t sequences, depth, rows;

  std::uint32_t queries() const { return sequences * rows * shape.n_kv_heads * shape.group; }
  std::uint32_t pages() const { return sequences * ((depth + kv_page_size - 1) / kv_page_size); }
  double flops() const { return 4.0 * shape.head_dim * queries() * (depth - (rows - 1) / 2.0); }
};

template <KvType type>
constexpr std::size_t head_bytes(std::uint32_t head_dim) {
  return std::size_t{kv_page_size} * head_dim * kv_bytes<type> +
         (type == KvType::Q8_0 ? scale_bytes(head_dim) : 0);
}

class Bench {
 public:
  explicit Bench(double ceiling) : ceiling_(ceiling) {
    check(cudaGetDeviceProperties(&properties_, 0));
    check(cudaStreamCreate(&stream_));
    check(cudaEventCreate(&begin_));
    check(cudaEventCreate(&end_));
    std::printf("%s, %d multiprocessors\n", properties_.name, properties_.multiProcessorCount);
  }

  template <KvType type>
  void time(const char* type_name, const Work& work) const {
    const HeadShape& shape = work.shape;
    const std::size_t page_bytes = 2 * shape.n_kv_heads * head_bytes<type>(shape.head_dim);
    const std::size_t bytes = work.pages() * page_bytes;
    const std::size_t enough = std::size_t{4} * properties_.l2CacheSize + (std::size_t{256} << 20);
    const auto copies = static_cast<std::uint32_t>(work.rows == 1 ? enough / bytes + 1 : 1);
    if (copies * bytes > properties_.totalGlobalMem / 2) return;
    const OnDevice<std::byte> pool(copies * bytes);
    const OnDevice<float> q(std::size_t{work.queries()} * shape.head_dim),
        out(std::size_t{work.queries()} * shape.head_dim);
    pool.fill();
    q.fill();
    const AttendCut cut =
        cut_attend<type>(shape.group, shape.head_dim, work.rows == 1 ? 1 : work.rows * shape.group);
    const auto launch_all = [&](auto kernel) {
      const double us = time_launches(std::move(kernel), work, cut, page_bytes, copies, pool, q, out);
      const double gbps = static_cast<double>(bytes) / us / 1e3;
      std::printf("attend %-5s %s %5u of %2u x %5u %9.2f us %7.0f GB/s %5.1f %% %7.1f TFLOP/s\n", type_name,
                  shape.name, work.rows, work.sequences, work.depth, us, gbps,
                  ceiling_ > 0 ? 100 * gbps / ceiling_ : 0, work.flops() / us / 1e6);
    };
    if (cut.queries == 16)
      launch_all(AttendTiles<type, 1>{});
    else
      launch_all(AttendTiles<type, most_tiles<type>>{});
  }

 private:
  // As pass.cpp does it.
  template <class Kernel>
  double time_launches(Kernel kernel, const Work& work, const AttendCut& cut, std::size_t page_bytes,
                       std::uint32_t copies, const OnDevice<std::byte>& pool, const OnDevice<float>& q,
                       const OnDevice<float>& out) const {
    const HeadShape& shape = work.shape;
    const std::uint32_t n_rows = work.sequences * work.rows, heads = shape.n_kv_heads * shape.group;
    std::vector<std::uint32_t> positions, owner, first, table(std::size_t{copies} * work.pages());
    std::iota(table.begin(), table.end(), 0);
    for (std::uint32_t i = 0; i < n_rows; ++i) {
      positions.push_back(work.depth - work.rows + i % work.rows);
      owner.push_back(i / work.rows);
    }
    for (std::uint32_t i = 0; i < copies * work.sequences; ++i)
      first.push_back(i * (work.pages() / work.sequences));
    const OnDevice<std::uint32_t> on_positions(positions), on_owner(owner), on_first(first), on_table(table);
    const std::uint32_t runs = work.rows == 1 ? std::min(cut.rows, n_rows) : 1;
    const std::uint32_t blocks = (n_rows + cut.rows - 1) / cut.rows * shape.n_kv_heads * cut.parts;
    const std::uint32_t spans = (work.depth - 1) / attend_span + 1;
    const std::uint32_t together = spans_together(work.queries(), std::uint64_t{blocks} * runs, spans);
    const OnDevice<float> partials((together + std::size_t{1}) * work.queries() * (shape.head_dim + 2));
    kernel.shape = {.n_kv_heads = shape.n_kv_heads,
                    .group = shape.group,
                    .head_dim = shape.head_dim,
                    .window = 0,
                    .n_rows = n_rows,
                    .rows = cut.rows,
                    .queries = cut.queries,
                    .parts = cut.parts,
                    .runs = runs,
                    .token = nullptr,
                    .positions = on_positions.data(),
                    .sequences = on_owner.data()};
    kernel.q = {q.data(), heads * shape.head_dim, nullptr};
    kernel.out = {out.data(), heads * shape.head_dim, n_rows, heads * shape.head_dim};
    kernel.sinks = nullptr;
    kernel.scale = 0.1f;
    kernel.softcap = 0;
    kernel.first_span = 0;
    kernel.partials = {together == 1 ? nullptr : partials.data(), together, work.queries(), shape.head_dim};
    check(cudaFuncSetAttribute(run<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(cut.shared_bytes)));
    return time_graph(copies, [&](std::uint32_t copy) {
      kernel.pages = {pool.data(), page_bytes, page_bytes / (2 * shape.n_kv_heads), on_table.data(),
                      on_first.data() + copy * work.sequences};
      for (std::uint32_t span = 0; span < (together == 1 ? 1 : spans); span += together) {
        kernel.first_span = span;
        const std::uint32_t n = together == 1 ? 1 : std::min(together, spans - span);
        run<<<dim3(blocks, runs * n), Kernel::threads, cut.shared_bytes, stream_>>>(kernel);
        if (together == 1) continue;
        const bool is_last = span + together >= spans;
        const std::uint32_t pieces = merge_pieces(kernel.shape, is_last);
        run<<<dim3(blocks, runs * pieces), MergeSpans::threads, 0, stream_>>>(
            MergeSpans{kernel.shape, kernel.out, nullptr, kernel.partials, span, is_last, pieces});
      }
    });
  }

  // Microseconds of one of n.
  template <class Launch>
  double time_graph(std::uint32_t n, const Launch& launch) const {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    for (std::uint32_t i = 0; i < n; ++i) launch(i);
    check(cudaGetLastError());
    check(cudaStreamEndCapture(stream_, &graph));
    check(cudaGraphInstantiate(&exec, graph, 0));
    check(cudaDeviceSynchronize());
    std::vector<float> ms(9);
    check(cudaGraphLaunch(exec, stream_));
    for (float& one : ms) {
      check(cudaEventRecord(begin_, stream_));
      check(cudaGraphLaunch(exec, stream_));
      check(cudaEventRecord(end_, stream_));
      check(cudaEventSynchronize(end_));
      check(cudaEventElapsedTime(&one, begin_, end_));
    }
    check(cudaGraphExecDestroy(exec));
    check(cudaGraphDestroy(graph));
    std::nth_element(ms.begin(), ms.begin() + 4, ms.end());
    return ms[4] * 1e3 / n;
  }

  double ceiling_;
  cudaDeviceProp properties_;
  cudaStream_t stream_;
  cudaEvent_t begin_, end_;
};

}  // namespace

int main(int argc, char** argv) {
  const Bench bench(argc > 1 ? std::atof(argv[1]) : 0);
  const auto time_all = [&](const Work& work) {
    bench.time<KvType::F16>("f16", work);
    bench.time<KvType::Q8_0>("q8_0", work);
  };
  for (const HeadShape& shape : shapes) {
    for (const std::uint32_t sequences : {1u, 8u, 32u})
      for (const std::uint32_t depth : {1024u, 4096u, 32768u}) time_all({shape, sequences, depth, 1});
    for (const std::uint32_t rows : {512u, 2048u, 8192u}) time_all({shape, 1, rows, rows});
  }
}
