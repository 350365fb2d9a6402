// Matmuls of packed matrices on a GPU: time, bandwidth and its share of what reading alone reaches there.
// The target bench_cuda of builds with CUDA; tests/cuda/run.sh runs it. By hand, with nvcc alone:
//
//   nvcc -O3 -std=c++20 --expt-relaxed-constexpr -fmad=false -arch=native -Iinclude -I. -o bench_cuda
//   bench/cuda/matmul.cu
//   ./bench_cuda [FORMAT] [INPUTS]     such as ./bench_cuda Q4_0 1
//
// Each figure is of a graph of launches over copies of a matrix, together four times the L2 cache and more,
// so that weights come from memory; the median of nine graphs. us: of one launch with its boundary to the
// next.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "kernels/cuda/fragment_kernels.hpp"

namespace {

using namespace nibble;
using namespace nibble::cuda;

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(status));
  std::exit(1);
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, resident_blocks<Kernel>()) run(const Kernel kernel) {
  kernel();
}

template <class Kernel>
void launch(cudaStream_t stream, dim3 blocks, std::uint32_t shared_bytes, const Kernel& kernel) {
  run<<<blocks, Kernel::threads, shared_bytes, stream>>>(kernel);
}

// Bits that differ from word to word; taken as halves, all below 2.
struct Fill {
  static constexpr std::uint32_t threads = 256;
  std::uint32_t* words;
  std::size_t n;

  NIBBLE_DEVICE void operator()() const {
    const std::size_t step = std::size_t{device::blocks_x()} * threads;
    for (std::size_t i = std::size_t{device::block_x()} * threads + device::thread(); i < n; i += step) {
      std::uint32_t x = static_cast<std::uint32_t>(i) * 0x9e3779b9u;
      x = (x ^ x >> 15) * 0x85ebca6bu;
      words[i] = (x ^ x >> 13) & 0xbfffbfffu;
    }
  }
};

// The ceiling: reads, of which each thread has `depth` of 16 bytes in flight.
template <std::uint32_t depth>
struct Read {
  static constexpr std::uint32_t threads = 256;
  const std::byte* from;
  std::size_t bytes;
  std::uint32_t* out;  // not written, but the compiler cannot know

  NIBBLE_DEVICE void operator()() const {
    const std::size_t step = std::size_t{device::blocks_x()} * threads * 16;
    std::size_t at = (std::size_t{device::block_x()} * threads + device::thread()) * 16;
    std::uint32_t sum = 0;
    for (; at + (depth - 1) * step < bytes; at += depth * step) {
      Words4 words[depth];
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < depth; ++i) words[i] = device::load_words4_once(from + at + i * step);
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < depth; ++i) sum += words[i].x ^ words[i].y ^ words[i].z ^ words[i].w;
    }
    if (sum == 0x12345678u) out[0] = sum;
  }
};

struct Gpu {
  cudaStream_t stream;
  cudaEvent_t begin, end;
  cudaDeviceProp properties;
  std::uint32_t* pool;  // weights
  std::size_t pool_bytes;
  std::byte* inputs;
  std::size_t inputs_bytes = std::size_t{256} << 20;
  float* out;
  std::size_t out_floats = std::size_t{512} << 20 >> 2;

  Gpu() {
    check(cudaGetDeviceProperties(&properties, 0));
    check(cudaStreamCreate(&stream));
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    pool_bytes = std::max<std::size_t>(std::size_t{4} * properties.l2CacheSize, std::size_t{1} << 30) +
                 (std::size_t{1} << 30);
    check(cudaMalloc(&pool, pool_bytes));
    check(cudaMalloc(&inputs, inputs_bytes));
    check(cudaMalloc(&out, out_floats * sizeof(float)));
    launch(stream, 1024, 0, Fill{pool, pool_bytes / 4});
    launch(stream, 1024, 0, Fill{reinterpret_cast<std::uint32_t*>(inputs), inputs_bytes / 4});
    check(cudaStreamSynchronize(stream));
  }

  // Microseconds of one of the n launches that `launches` makes.
  double time(std::uint32_t n, const std::function<void()>& launches) const {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    launches();
    check(cudaGetLastError());
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&exec, graph, 0));
    std::vector<float> ms(9);
    check(cudaGraphLaunch(exec, stream));
    for (float& one : ms) {
      check(cudaEventRecord(begin, stream));
      check(cudaGraphLaunch(exec, stream));
      check(cudaEventRecord(end, stream));
      check(cudaEventSynchronize(end));
      check(cudaEventElapsedTime(&one, begin, end));
    }
    check(cudaGraphExecDestroy(exec));
    check(cudaGraphDestroy(graph));
    std::nth_element(ms.begin(), ms.begin() + 4, ms.end());
    return ms[4] * 1e3 / n;
  }
};

template <std::uint32_t depth>
double read_gbps(const Gpu& gpu, std::uint32_t blocks_per_processor) {
  const dim3 blocks(gpu.properties.multiProcessorCount * blocks_per_processor);
  const Read<depth> kernel{reinterpret_cast<const std::byte*>(gpu.pool), gpu.pool_bytes, gpu.pool};
  const double us = gpu.time(1, [&] { launch(gpu.stream, blocks, 0, kernel); });
  const double gbps = static_cast<double>(gpu.pool_bytes) / us / 1e3;
  std::printf("read, %u KiB in flight a multiprocessor: %.0f GB/s\n", blocks_per_processor * depth * 4, gbps);
  return gbps;
}

struct Shape {
  const char* name;
  std::uint32_t rows, cols;
};
constexpr Shape shapes[] = {
    {"1b qkv", 3072, 2048},      {"1b out", 2048, 2048},   {"1b gate+up", 16384, 2048},
    {"1b down", 2048, 8192},     {"8b qkv", 6144, 4096},   {"8b out", 4096, 4096},
    {"8b gate+up", 28672, 4096}, {"8b down", 4096, 14336}, {"8b head", 128256, 4096},
};

template <class Kernel>
void time_kernel(const Gpu& gpu, const char* name, const char* format, const Shape& shape, std::uint32_t n,
                 std::size_t bytes, double ceiling) {
  const std::size_t input_bytes = std::size_t{n} * activation_layout(shape.cols).bytes();
  if (std::size_t{n} * shape.rows > gpu.out_floats || input_bytes > gpu.inputs_bytes) return;
  const dim3 blocks((shape.rows + Kernel::rows - 1) / Kernel::rows,
                    (n + Kernel::tokens - 1) / Kernel::tokens);
  const std::size_t stride = (bytes + 255) / 256 * 256;
  const std::size_t copies = std::max<std::size_t>(1, gpu.pool_bytes / stride);
  // Many launches where they are short, one where it takes milliseconds.
  const auto launches =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(copies * 2, 2, std::max<std::size_t>(2, 4000 / n)));
  const double us = gpu.time(launches, [&] {
    for (std::uint32_t i = 0; i < launches; ++i) {
      const MatmulJob job{.weights = reinterpret_cast<const std::byte*>(gpu.pool) + i % copies * stride,
                          .rows = shape.rows,
                          .cols = shape.cols,
                          .inputs = gpu.inputs,
                          .n_inputs = n,
                          .out = gpu.out,
                          .out_stride = shape.rows,
                          .scale = 1};
      launch(gpu.stream, blocks, Kernel::shared_bytes, Kernel{job});
    }
  });
  const double gbps = static_cast<double>(bytes) / us / 1e3;
  std::printf("%-5s %-11s %5u  %-5s %9.2f us %7.0f GB/s %5.1f %% %7.1f TFLOP/s\n", format, shape.name, n,
              name, us, gbps, 100 * gbps / ceiling, 2e-6 * n * shape.rows * shape.cols / us);
}

template <class F>
void time_format(const Gpu& gpu, double ceiling, std::string_view only, std::uint32_t only_inputs) {
  if (!only.empty() && only != F::name) return;
  constexpr FragmentLayout layout = layout_of<F>;
  using Kernels = KernelsOf<layout>;
  for (const Shape& shape : shapes) {
    const std::size_t bytes = (shape.rows + tile_rows - 1) / tile_rows * row_tile_bytes(layout, shape.cols);
    for (const std::uint32_t n : {1u, 4u, 8u, 16u, 32u, 64u, 128u, 512u, 2048u}) {
      if (only_inputs != 0 && n != only_inputs) continue;
      const char* name = F::name.data();
      if (n <= 16) time_kernel<typename Kernels::Few>(gpu, "few", name, shape, n, bytes, ceiling);
      if (n > 8 && n <= 128) time_kernel<typename Kernels::Some>(gpu, "some", name, shape, n, bytes, ceiling);
      if (n >= 32) time_kernel<typename Kernels::Many>(gpu, "many", name, shape, n, bytes, ceiling);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Gpu gpu;
  const std::string_view only = argc > 1 ? argv[1] : "";
  const auto inputs = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 0);
  std::printf("%s, %d multiprocessors, L2 %d MiB\n", gpu.properties.name, gpu.properties.multiProcessorCount,
              gpu.properties.l2CacheSize >> 20);
  double ceiling = 0;
  for (const std::uint32_t blocks : {1u, 2u, 4u, 8u}) {
    ceiling = std::max({ceiling, read_gbps<4>(gpu, blocks), read_gbps<8>(gpu, blocks)});
  }
  std::printf("ceiling: %.0f GB/s\n", ceiling);
  time_format<Q4_0>(gpu, ceiling, only, inputs);
  time_format<Q4_K>(gpu, ceiling, only, inputs);
  time_format<Q6_K>(gpu, ceiling, only, inputs);
  time_format<Q8_0>(gpu, ceiling, only, inputs);
  check(cudaDeviceSynchronize());
}
