// cuBLAS where the machine has it, found when it is used: the yardstick beside the matmuls of matmul.cu.
// Nothing of it is needed to build.
#pragma once

#include <dlfcn.h>

#include <cstdint>

class Cublas {
 public:
  Cublas() {
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
      if (library_ == nullptr) library_ = dlopen(name, RTLD_NOW);
    if (library_ == nullptr) return;
    const auto create = function<int(void**)>("cublasCreate_v2");
    const auto set_stream = function<int(void*, cudaStream_t)>("cublasSetStream_v2");
    gemm_ = function<Gemm>("cublasGemmEx");
    found_ = create != nullptr && set_stream != nullptr && gemm_ != nullptr && create(&handle_) == 0 &&
             set_stream(handle_, nullptr) == 0;
  }

  bool found() const { return found_; }

  // out (n, rows) = in (n, cols) times weights (rows, cols) transposed, all bf16, sums in float32; on the
  // default stream. Whether cuBLAS took it.
  bool multiply(const void* weights, const void* in, void* out, std::uint32_t rows, std::uint32_t cols,
                std::uint32_t n) const {
    constexpr int as_is = 0, transposed = 1, compute_32f = 68, default_algorithm = -1;
    const float one = 1, none = 0;
    const int m = static_cast<int>(rows), k = static_cast<int>(cols);
    return gemm_(handle_, transposed, as_is, m, static_cast<int>(n), k, &one, weights, CUDA_R_16BF, k, in,
                 CUDA_R_16BF, k, &none, out, CUDA_R_16BF, m, compute_32f, default_algorithm) == 0;
  }

 private:
  using Gemm = int(void* handle, int of_a, int of_b, int m, int n, int k, const void* alpha, const void* a,
                   cudaDataType a_type, int a_stride, const void* b, cudaDataType b_type, int b_stride,
                   const void* beta, void* c, cudaDataType c_type, int c_stride, int compute, int algorithm);

  template <class F>
  F* function(const char* name) const {
    return reinterpret_cast<F*>(dlsym(library_, name));
  }

  void *library_ = nullptr, *handle_ = nullptr;
  Gemm* gemm_ = nullptr;
  bool found_ = false;
};
