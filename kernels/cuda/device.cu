// CUDA as a Runtime: the one translation unit that nvcc compiles. Every kernel of kernels.hpp becomes an
// entry here; between the backend and the device, as emulated.cpp is in tests.
#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "kernels/cuda/cuda_runtime.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

namespace {

// No thread goes on, nor ends, before the launches before it are done: so the end of one is that of all
// before.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, resident_blocks<Kernel>())
    run_kernel([[maybe_unused]] const Kernel kernel) {
  if constexpr (!needs_warpgroups<Kernel>() || device::has_warpgroups) {
    if constexpr (!waits_itself<Kernel>()) device::wait_for_previous();
    device::let_next_begin();
    kernel();
  }
}

struct Entry {
  const void* function;
  std::uint32_t threads, most_shared_bytes;
  bool needs_warpgroups;
};

struct Entries {
  Entries() {
    std::size_t i = 0;
    Kernels::for_each([&]<class Kernel>() {
      entry[i++] = {reinterpret_cast<const void*>(run_kernel<Kernel>), Kernel::threads,
                    most_shared_bytes_of<Kernel>(), needs_warpgroups<Kernel>()};
    });
  }
  Entry entry[Kernels::size];
};

const Entries& entries() {
  static const Entries table;
  return table;
}

ErrorCode code_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return ErrorCode::out_of_memory;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorDevicesUnavailable: return ErrorCode::no_device;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration: return ErrorCode::internal;
    default: return ErrorCode::device_lost;
  }
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // what is not sticky is not to be found by the next call
  throw Error({.code = code_of(error),
               .source = "cuda backend",
               .field = what,
               .found = std::string(cudaGetErrorName(error)) + " (" + cudaGetErrorString(error) + ")"});
}

// The device that calls of this thread are for, put back as it was found.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    cudaGetDevice(&before_);
    changed_ = before_ != device && cudaSetDevice(device) == cudaSuccess;
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() {
    if (changed_) cudaSetDevice(before_);
  }

 private:
  int before_ = 0;
  bool changed_ = false;
};

struct Destroy {
  void operator()(cudaGraph_t graph) const noexcept { cudaGraphDestroy(graph); }
  void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
  void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
};

struct CudaRecording final : Recording {
  std::unique_ptr<CUgraphExec_st, Destroy> graph;
};

constexpr int device_number = 0, least_major = 8;
constexpr int least_overlap = 90;  // compute capability that code must be made for to wait_for_previous()

class CudaRuntime final : public Runtime {
 public:
  CudaRuntime() {
    int n_devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&n_devices);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && n_devices == 0)) {
      cudaGetLastError();
      throw Error({.code = ErrorCode::no_device, .source = "cuda backend", .found = "no CUDA device"});
    }
    if (error == cudaErrorInsufficientDriver) {
      cudaGetLastError();
      throw Error({.code = ErrorCode::no_device,
                   .source = "cuda backend",
                   .found = "no CUDA device: no driver, or one too old",
                   .allowed = "a driver for CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
                              std::to_string(CUDART_VERSION % 1000 / 10)});
    }
    check(error, "devices");
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device_number), "device");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device_number), "device");
    if (major < least_major)
      throw Error({.code = ErrorCode::no_device,
                   .source = "cuda backend",
                   .field = "compute capability",
                   .found = std::to_string(major) + "." + std::to_string(minor),
                   .allowed = "8.0 and above"});
    name_ = "cuda/sm_" + std::to_string(10 * major + minor);
    has_warpgroups_ = major == 9 && minor == 0;
    const OnDevice on(device_number);
    for (const Entry& entry : entries().entry)
      if (!entry.needs_warpgroups || has_warpgroups_)
        check(cudaFuncSetAttribute(entry.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(entry.most_shared_bytes)),
              "shared memory");
    // Of the code that runs, not of the device: what was made for an older one does not wait.
    cudaFuncAttributes code{};
    check(cudaFuncGetAttributes(&code, entries().entry[0].function), "kernels");
    overlap_ = code.ptxVersion >= least_overlap;
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    stream_.reset(stream);
    for (auto& owned : events_) {
      cudaEvent_t event = nullptr;
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
      owned.reset(event);
    }
  }

  std::string_view name() const noexcept override { return name_; }
  bool has_warpgroups() const noexcept override { return has_warpgroups_; }

  std::byte* allocate(std::uint64_t bytes) override {
    const OnDevice on(device_number);
    void* memory = nullptr;
    if (bytes != 0) check(cudaMalloc(&memory, bytes), "device memory");
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* device) noexcept override {
    const OnDevice on(device_number);
    cudaFree(device);
  }
  std::byte* allocate_host(std::uint64_t bytes) override {
    const OnDevice on(device_number);
    void* memory = nullptr;
    if (bytes != 0) check(cudaMallocHost(&memory, bytes), "host memory");
    return static_cast<std::byte*>(memory);
  }
  void free_host(std::byte* host) noexcept override {
    const OnDevice on(device_number);
    cudaFreeHost(host);
  }

  void upload(std::byte* device, const std::byte* host, std::uint64_t bytes) override {
    copy_async(device, host, bytes, cudaMemcpyHostToDevice);
  }
  void download(std::byte* host, const std::byte* device, std::uint64_t bytes) override {
    copy_async(host, device, bytes, cudaMemcpyDeviceToHost);
  }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override {
    copy_async(to, from, bytes, cudaMemcpyDeviceToDevice);
  }

  void synchronise() override {
    const OnDevice on(device_number);
    check(cudaStreamSynchronize(stream_.get()), "stream");
  }
  std::uint64_t mark() override {
    const OnDevice on(device_number);
    check(cudaEventRecord(events_[marks_ % most_marks].get(), stream_.get()), "event");
    return marks_++;
  }
  void wait(std::uint64_t mark) override {
    const OnDevice on(device_number);
    check(cudaEventSynchronize(events_[mark % most_marks].get()), "event");
  }

  // Not every driver is known to record launches that overlap: then none of them do.
  std::unique_ptr<Recording> record(const std::function<void()>& work) override {
    const OnDevice on(device_number);
    try {
      return capture(work);
    } catch (const Error& error) {
      if (!overlap_ || error.code() == ErrorCode::out_of_memory || error.code() == ErrorCode::cancelled)
        throw;
      overlap_ = false;
      return capture(work);
    }
  }
  void replay(const Recording& recording) override {
    const OnDevice on(device_number);
    check(cudaGraphLaunch(static_cast<const CudaRecording&>(recording).graph.get(), stream_.get()), "replay");
  }

 protected:
  std::uint32_t blocks_at_once(std::size_t index, std::uint32_t shared_bytes) override {
    const OnDevice on(device_number);
    const Entry& entry = entries().entry[index];
    int processors = 0, blocks = 0;
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device_number), "device");
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, entry.function,
                                                        static_cast<int>(entry.threads), shared_bytes),
          "kernel");
    return static_cast<std::uint32_t>(processors * blocks);
  }
  void launch_kernel(std::size_t index, const Grid& grid, const void* kernel) override {
    const OnDevice on(device_number);
    const Entry& entry = entries().entry[index];
    void* parameters[] = {const_cast<void*>(kernel)};
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(grid.x, grid.y);
    config.blockDim = dim3(entry.threads);
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = stream_.get();
    config.attrs = &overlap;
    config.numAttrs = overlap_ ? 1 : 0;
    check(cudaLaunchKernelExC(&config, entry.function, parameters), "launch");
  }

 private:
  struct Captured {
    cudaError_t error;
    std::unique_ptr<CUgraph_st, Destroy> graph;
  };
  std::unique_ptr<Recording> capture(const std::function<void()>& work) {
    auto recording = std::make_unique<CudaRecording>();
    check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "recording");
    try {
      work();
    } catch (...) {
      end_capture();
      cudaGetLastError();
      throw;
    }
    cudaGraphExec_t graph = nullptr;
    const auto [error, captured] = end_capture();
    check(error, "recording");
    check(cudaGraphInstantiate(&graph, captured.get(), 0), "recording");
    recording->graph.reset(graph);
    return recording;
  }
  Captured end_capture() {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_.get(), &graph);
    return {error, std::unique_ptr<CUgraph_st, Destroy>(graph)};
  }

  void copy_async(void* to, const void* from, std::uint64_t bytes, cudaMemcpyKind kind) {
    const OnDevice on(device_number);
    if (bytes != 0) check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()), "copy");
  }

  std::string name_;
  bool overlap_ = false, has_warpgroups_ = false;
  std::unique_ptr<CUstream_st, Destroy> stream_;
  std::unique_ptr<CUevent_st, Destroy> events_[most_marks];
  std::uint64_t marks_ = 0;
};

}  // namespace

std::unique_ptr<Runtime> make_cuda_runtime() { return std::make_unique<CudaRuntime>(); }

}  // namespace nibble::inline v0::cuda
