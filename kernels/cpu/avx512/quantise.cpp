// Float rows to int8 with this tier's instructions.
// What the matmuls of coded formats read.
#include "kernels/cpu/avx512/avx512.hpp"
#include "kernels/cpu/int8_rows.hpp"

namespace nibble::inline v0::cpu::avx512 {

const ActivationForm int8_rows = {int8_row_bytes, quantise_row};

}  // namespace nibble::inline v0::cpu::avx512
