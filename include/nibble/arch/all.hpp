// The list of architectures: one line each. To add one, write its header and include it here.
// The model stage finds them through model/architecture.hpp.
#pragma once

#include "nibble/arch/llama.hpp"
#include "nibble/arch/mixtral.hpp"
#include "nibble/arch/qwen3moe.hpp"
