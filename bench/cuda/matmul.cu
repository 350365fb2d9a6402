// Matmuls of packed matrices on a GPU: time, bandwidth and its share of what reading alone reaches there.
// The target bench_cuda of builds with CUDA; tests/cuda/run.sh runs it. By hand, with nvcc alone:
//
//   nvcc -O3 -std=c++20 --expt-relaxed-constexpr -fmad=false -arch=native -Iinclude -I. -o bench_cuda
//   bench/cuda/matmul.cu
//   ./bench_cuda [FORMAT] [INPUTS]     such as ./bench_cuda Q4_0 1
//
// Each figure is of a graph of launches over copies of a matrix, together four times the L2 cache and more,
// so that weights come from memory; the median of nine graphs. us: of one launch with its boundary to the
// next. Beside them cuBLAS on bf16 matrices of the same shapes, where the machine has it: the mean of as many
// calls on a stream. Two lines "ceiling: ..." say what reads and products reach here.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "bench/cuda/cublas.hpp"
#include "bench/cuda/launch.cuh"
#include "kernels/cuda/fragment_kernels.hpp"

namespace {

using namespace nibble;
using namespace nibble::cuda;

template <class Kernel>
void launch(cudaStream_t stream, dim3 blocks, std::uint32_t shared_bytes, const Kernel& kernel) {
  run<<<blocks, Kernel::threads, shared_bytes, stream>>>(kernel);
}

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

// The other ceiling: products of operands in registers, eight sums at a time to a warp.
struct MultiplyOnly {
  static constexpr std::uint32_t threads = 256, sums = 8;
  static constexpr double flops = 2.0 * 16 * 8 * 16;  // of one instruction
  std::uint32_t steps;
  const std::uint32_t* operands;
  float* out;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t* at = operands + 6 * device::thread();
    const std::uint32_t a[4] = {at[0], at[1], at[2], at[3]}, b[2] = {at[4], at[5]};
    float c[sums][4] = {};
    for (std::uint32_t step = 0; step < steps; ++step) {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < sums; ++i) device::multiply_tile(c[i], a, b);
    }
    float total = 0;
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4 * sums; ++i) total = total + c[i / 4][i % 4];
    out[device::block_x() * threads + device::thread()] = total;
  }
};

// The same by warpgroups, as MatmulByWarpgroups has it: two products in flight, inputs in shared memory.
struct MultiplyByWarpgroupsOnly {
  static constexpr std::uint32_t threads = 256, shared_bytes = 16 << 10, in_turn = 8;
  static constexpr bool needs_warpgroups = true;
  static constexpr double flops = 2.0 * 64 * 64 * 32;  // of one product by a warpgroup
  using Operand = device::SharedOperand<128, 512>;
  std::uint32_t steps;
  const std::uint32_t* operands;
  float* out;

  NIBBLE_DEVICE void operator()() const {
    for (std::uint32_t i = device::thread(); i < shared_bytes / 4; i += threads)
      reinterpret_cast<std::uint32_t*>(device::shared())[i] = operands[i];
    device::fence_async();
    device::sync_block();
    const std::uint32_t* at = operands + 8 * device::thread();
    const std::uint32_t a[2][4] = {{at[0], at[1], at[2], at[3]}, {at[4], at[5], at[6], at[7]}};
    const auto b = Operand::at(device::shared_address(device::shared()));
    float products[2][device::product_floats] = {};
    for (std::uint32_t step = 0; step < steps; ++step) {
      device::begin_product<256>(products[0], a, b);
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i + 1 < in_turn; ++i) {
        device::begin_product<256>(products[(i + 1) % 2], a, b);
        device::wait_product<1>(products[i % 2]);
      }
      device::wait_product<0>(products[(in_turn - 1) % 2]);
    }
    float total = 0;
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < device::product_floats; ++i)
      total = total + products[0][i] + products[1][i];
    out[device::block_x() * threads + device::thread()] = total;
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

  // The same of calls that no graph need take, on the default stream; call(i) says whether it worked, and 0
  // is the result where it did not.
  double time_calls(std::uint32_t n, const std::function<bool(std::uint32_t)>& call) const {
    bool worked = call(0);
    check(cudaEventRecord(begin, nullptr));
    for (std::uint32_t i = 0; i < n; ++i) worked = worked && call(i);
    check(cudaEventRecord(end, nullptr));
    check(cudaEventSynchronize(end));
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin, end));
    return worked ? ms * 1e3 / n : 0;
  }

  template <class Kernel>
  std::uint32_t resident_blocks() const {
    int n = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, run<Kernel>, Kernel::threads,
                                                        Kernel::shared_bytes));
    return processors() * static_cast<std::uint32_t>(n);
  }
  bool has_warpgroups() const { return properties.major == 9; }
  std::uint32_t processors() const { return static_cast<std::uint32_t>(properties.multiProcessorCount); }
};

template <std::uint32_t depth>
double read_gbps(const Gpu& gpu, std::uint32_t blocks_per_processor) {
  const dim3 blocks(gpu.processors() * blocks_per_processor);
  const Read<depth> kernel{reinterpret_cast<const std::byte*>(gpu.pool), gpu.pool_bytes, gpu.pool};
  const double us = gpu.time(1, [&] { launch(gpu.stream, blocks, 0, kernel); });
  const double gbps = static_cast<double>(gpu.pool_bytes) / us / 1e3;
  std::printf("read, %u KiB in flight a multiprocessor: %.0f GB/s\n", blocks_per_processor * depth * 4, gbps);
  return gbps;
}

double register_tflops(const Gpu& gpu) {
  const std::uint32_t blocks = 2 * gpu.processors(), steps = 20000;
  const MultiplyOnly kernel{steps, reinterpret_cast<const std::uint32_t*>(gpu.inputs), gpu.out};
  const double us = gpu.time(1, [&] { launch(gpu.stream, blocks, 0, kernel); });
  const double warps = 1.0 * blocks * MultiplyOnly::threads / 32;
  return warps * steps * MultiplyOnly::sums * MultiplyOnly::flops / us / 1e6;
}

double warpgroup_tflops(const Gpu& gpu) {
  using Kernel = MultiplyByWarpgroupsOnly;
  const std::uint32_t blocks = gpu.processors(), steps = 4000;
  const Kernel kernel{steps, reinterpret_cast<const std::uint32_t*>(gpu.inputs), gpu.out};
  const double us = gpu.time(1, [&] { launch(gpu.stream, blocks, Kernel::shared_bytes, kernel); });
  return 2.0 * blocks * steps * Kernel::in_turn * Kernel::flops / us / 1e6;
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
  const std::size_t input_bytes = std::max(std::size_t{n} * activation_layout(shape.cols).bytes(),
                                           activation_tiles(shape.cols, n).bytes());
  if (std::size_t{n} * shape.rows > gpu.out_floats || input_bytes > gpu.inputs_bytes) return;
  dim3 blocks((shape.rows + Kernel::rows - 1) / Kernel::rows, (n + Kernel::tokens - 1) / Kernel::tokens);
  check(cudaFuncSetAttribute(run<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::shared_bytes));
  if constexpr (requires { Kernel::takes_stripes; })
    blocks.x = std::min(blocks.x, std::max(1u, gpu.resident_blocks<Kernel>() / blocks.y));
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
  std::printf("%-5s %-11s %5u  %-6s %9.2f us %7.0f GB/s %5.1f %% %7.1f TFLOP/s\n", format, shape.name, n,
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
      if (n >= 128 && gpu.has_warpgroups())
        time_kernel<typename Kernels::Warpgroups>(gpu, "groups", name, shape, n, bytes, ceiling);
    }
  }
}

// Microseconds of bf16 by cuBLAS, or 0.
double cublas_us(const Gpu& gpu, const Cublas& cublas, const Shape& shape, std::uint32_t n) {
  const std::size_t bytes = std::size_t{2} * shape.rows * shape.cols,
                    copies = std::max<std::size_t>(1, gpu.pool_bytes / bytes);
  const auto calls = static_cast<std::uint32_t>(std::clamp<std::size_t>(copies * 2, 8, 200));
  return gpu.time_calls(calls, [&](std::uint32_t i) {
    return cublas.multiply(reinterpret_cast<const std::byte*>(gpu.pool) + i % copies * bytes, gpu.inputs,
                           gpu.out, shape.rows, shape.cols, n);
  });
}

void time_cublas(const Gpu& gpu, const Cublas& cublas, double ceiling) {
  for (const Shape& shape : shapes) {
    for (const std::uint32_t n : {1u, 8u, 32u, 64u, 512u, 2048u}) {
      if (std::size_t{n} * shape.rows > gpu.out_floats) continue;
      const double us = cublas_us(gpu, cublas, shape, n), weights = 1.0 * shape.rows * shape.cols;
      if (us == 0) continue;
      std::printf("%-5s %-11s %5u  %-6s %9.2f us %7.0f GB/s %5.1f %% %7.1f TFLOP/s\n", "bf16", shape.name, n,
                  "cublas", us, 2 * weights / us / 1e3, 200 * weights / us / 1e3 / ceiling,
                  2e-6 * n * weights / us);
    }
  }
}

// What products reach here: cuBLAS on a large square, or the faster instruction by itself.
void print_rate(const Gpu& gpu, const Cublas& cublas) {
  double most = register_tflops(gpu);
  std::printf("products of mma.sync in registers: %.0f TFLOP/s\n", most);
  if (gpu.has_warpgroups()) {
    const double by_warpgroups = warpgroup_tflops(gpu);
    std::printf("products of wgmma from registers and shared memory: %.0f TFLOP/s\n", by_warpgroups);
    most = std::max(most, by_warpgroups);
  }
  constexpr std::uint32_t side = 8192;
  const double us = cublas.found() ? cublas_us(gpu, cublas, {"square", side, side}, side) : 0;
  if (us == 0) {
    std::printf("no cuBLAS here\nceiling: %.0f TFLOP/s\n", most);
  } else {
    std::printf("ceiling: %.0f TFLOP/s\n", 2e-6 * side * side * side / us);
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
  const Cublas cublas;
  print_rate(gpu, cublas);
  time_format<Q4_0>(gpu, ceiling, only, inputs);
  time_format<Q4_K>(gpu, ceiling, only, inputs);
  time_format<Q6_K>(gpu, ceiling, only, inputs);
  time_format<Q8_0>(gpu, ceiling, only, inputs);
  if (cublas.found() && only.empty()) time_cublas(gpu, cublas, ceiling);
  check(cudaDeviceSynchronize());
}
